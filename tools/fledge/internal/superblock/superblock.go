// Package superblock reads what the superblocks of erofs, ext4, xfs and btrfs say. It reads none of the files of these
// file systems.
package superblock

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"strings"

	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// HeadSize is how much of an image Kind and Open look at: to the end of the superblock of btrfs.
const HeadSize = btrfsAt + btrfsSize

// Kind tells the file system of an image that begins with head by its magic number: one of packing.Filesystems, or "".
// They are told apart in the order in which Fledge's init does.
func Kind(head []byte) string {
	for _, known := range []struct {
		at          int
		magic, kind string
	}{
		{0, "hsqs", packing.Squashfs},
		{0, "XFSB", packing.XFS},
		{1024, "\xe2\xe1\xf5\xe0", packing.Erofs},
		{1024 + 56, "\x53\xef", packing.Ext4},
		{btrfsAt + 64, "_BHRfS_M", packing.Btrfs},
	} {
		if len(head) > known.at && bytes.HasPrefix(head[known.at:], []byte(known.magic)) {
			return known.kind
		}
	}
	return ""
}

// reader reads the superblock out of the beginning of an image, and checks its checksum if it has one.
type reader func(head []byte) (*artifact.FileSystemInfo, error)

var readers = map[string]reader{packing.Erofs: readErofs, packing.Ext4: readExt4, packing.XFS: readXFS, packing.Btrfs: readBtrfs}

// Image is an image whose superblock alone is read. It implements artifact.Artifact.
type Image struct{ info artifact.Info }

// Open reads the superblock of an image of size bytes, whose kind is that of its head.
func Open(r io.ReaderAt, size int64, kind string) (*Image, error) {
	read := readers[kind]
	if read == nil {
		return nil, fmt.Errorf("no superblock of %q is read", kind)
	}
	head := make([]byte, min(HeadSize, size))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	info, err := read(head)
	if err == nil && uint64(size) < info.Bytes {
		err = fmt.Errorf("the superblock tells of %d bytes, and the file has %d: it is cut off", info.Bytes, size)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return &Image{artifact.Info{Kind: kind, Size: size, FileSystem: info}}, nil
}

// Info implements artifact.Artifact.
func (im *Image) Info() *artifact.Info {
	info := im.info
	return &info
}

// tools list the files of a file system, and check it.
var tools = map[string]struct{ list, check string }{
	packing.Erofs: {"dump.erofs --ls --path=/", "fsck.erofs"},
	packing.Ext4:  {"debugfs -R 'ls -l /'", "e2fsck -fn"},
	packing.XFS:   {"mount -o loop,ro,norecovery", "xfs_repair -n"},
	packing.Btrfs: {"btrfs restore --dry-run -v", "btrfs check"},
}

// Checker is the program that checks all of a file system, with its options.
func Checker(kind string) string { return tools[kind].check }

func (im *Image) unlisted() error {
	return fmt.Errorf("%w: fledge reads the superblock of %s alone; %s shows them",
		artifact.ErrUnlisted, im.info.Kind, tools[im.info.Kind].list)
}

// Walk implements artifact.Artifact; it gives an error.
func (im *Image) Walk(string) iter.Seq2[*artifact.Entry, error] {
	return func(yield func(*artifact.Entry, error) bool) { yield(nil, im.unlisted()) }
}

// Open implements artifact.Artifact; it gives an error.
func (im *Image) Open(*artifact.Entry) (io.Reader, error) { return nil, im.unlisted() }

// Digest implements artifact.Artifact; it gives an error.
func (im *Image) Digest(*artifact.Entry) (sum [sha256.Size]byte, err error) {
	return sum, im.unlisted()
}

// Verify implements artifact.Artifact: what can be told is told already when an image is opened.
func (im *Image) Verify() error { return nil }

// part gives n bytes of an image's head at a place.
func part(head []byte, at, n int) ([]byte, error) {
	if len(head) < at+n {
		return nil, errors.New("the superblock is cut off")
	}
	return head[at : at+n], nil
}

// errChecksum is the error for a superblock whose checksum is wrong.
var errChecksum = errors.New("the superblock is damaged: its checksum is another")

// crc32c is the CRC-32C of some bytes. erofs and ext4 leave the last inversion out.
func crc32c(parts ...[]byte) (sum uint32) {
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p)
	}
	return sum
}

// text is a label, which ends with the first NUL.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// features names the bits that are set; a bit without a name is FEATURE_KIND_BIT.
func features(kind string, bits uint64, names ...string) (set []string) {
	for i := range 64 {
		switch {
		case bits>>i&1 == 0:
		case i < len(names) && names[i] != "":
			set = append(set, names[i])
		default:
			set = append(set, fmt.Sprintf("FEATURE_%s%d", kind, i))
		}
	}
	return set
}

// words splits names of features, of which "-" is none.
func words(list string) []string {
	names := strings.Fields(list)
	for i, name := range names {
		if name == "-" {
			names[i] = ""
		}
	}
	return names
}
