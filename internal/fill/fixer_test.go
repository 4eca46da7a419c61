package fill

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// made makes an empty file system and gives it with what differs between runs taken out, and the fixer.
func made(t *testing.T, name string, digest byte) ([]byte, fixer) {
	t.Helper()
	mkfs, err := FindMkfs(name, "")
	if err != nil {
		t.Skip(err)
	}
	k, err := kindOf(name)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image")
	job := task{Options: Options{Mkfs: mkfs}, kind: k, file: file, source: source{digest: [32]byte{digest}}}
	if err := job.mkfs(t.Context(), k.minimum); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := job.copyTo(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), job.fixer
}

// Of an empty file system, too, all is the same in every run, and its own tool finds nothing to say.
func TestMkfsTwice(t *testing.T) {
	checkers := map[string][]string{XFS: {"xfs_repair", "-n", "-f"}, Btrfs: {"btrfs", "check"}}
	for name, checker := range checkers {
		t.Run(name, func(t *testing.T) {
			first, x := made(t, name, 1)
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1100 * time.Millisecond)))
			second, _ := made(t, name, 1)
			if !bytes.Equal(withoutRoot(first), withoutRoot(second)) {
				t.Error("two runs of mkfs differ")
			}
			other, _ := made(t, name, 2)
			if bytes.Equal(withoutRoot(first), withoutRoot(other)) {
				t.Error("another source makes the same file system")
			}
			again := bytes.Clone(first)
			x.fix(again, 0)
			if !bytes.Equal(first, again) {
				t.Error("what is fixed changes when it is fixed again")
			}
			file := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(file, first, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", os.Getenv("PATH")+":"+strings.Join(systemFolders, ":"))
			imagetest.Need(t, checker[0])
			out, err := exec.Command(checker[0], append(checker[1:], file)...).CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("would")) {
				t.Errorf("%q: %v\n%s", checker, err, out)
			}
		})
	}
}

// xfsRoot is how the inode of an empty xfs's root begins.
const xfsRoot = "IN\x41\xed\x03"

// withoutRoot clears the inode of xfs's root, which has mkfs's time until the guest sets that.
func withoutRoot(b []byte) []byte {
	b = bytes.Clone(b)
	if at := bytes.Index(b, []byte(xfsRoot)); at >= 0 {
		clear(b[at : at+xfsSector])
	}
	return b
}

// The log that a machine wrote gives way to that of mkfs, sequence numbers go, and checksums are right.
func TestXFSFixer(t *testing.T) {
	clean, f := made(t, XFS, 1)
	x := f.(*xfsFixer)
	b := slices.Clone(clean)
	be := binary.BigEndian
	copy(b[x.logStart+1000:], "records of the log")
	copy(b[x.logEnd-3:], "end")
	be.PutUint64(b[240:], 1<<32|77) // of the superblock
	binary.LittleEndian.PutUint32(b[224:], 0)
	inode := bytes.Index(b, []byte(xfsRoot))
	be.PutUint32(b[inode+xfsGenerationAt:], 12345)
	be.PutUint64(b[inode+xfsCtimeAt:], 1<<60)
	be.PutUint64(b[inode+xfsCrtimeAt:], 1<<60)
	be.PutUint64(b[inode+xfsChangesAt:], 99)
	binary.LittleEndian.PutUint32(b[inode+100:], 0)
	if bytes.Equal(b, clean) {
		t.Fatal("nothing was changed")
	}
	for at := 0; at < len(b); at += pieceSize {
		x.fix(b[at:min(at+pieceSize, len(b))], int64(at))
	}
	for i := range b {
		if b[i] != clean[i] {
			t.Fatalf("byte %#x differs", i)
		}
	}
	// Data that merely looks like metadata stays as it is: in another place, or of another file system.
	data := bytes.Clone(clean[:pieceSize])
	elsewhere := int64(pieceSize) * 100
	copy(data[8192:], clean[inode:inode+xfsSector])
	copy(data, bytes.Repeat([]byte{1}, 8192)) // without superblock and tables
	want := bytes.Clone(data[:12288])
	x.fix(data, elsewhere)
	if !bytes.Equal(data[:12288], want) {
		t.Error("a copy of an inode in another place was changed")
	}
}

// What has the UUID and the checksum of a file system, but nonsense in it, does no harm.
func TestHostileMetadata(t *testing.T) {
	x := &xfsFixer{uuid: bytes.Repeat([]byte{7}, 16), agBlocks: 100, agShift: 7, inoShift: 3}
	for _, o := range xfsObjects {
		for _, fill := range []byte{0, 0xff, 0x55} {
			b := bytes.Repeat([]byte{fill}, pieceSize)
			for at := 0; at < len(b); at += xfsSector {
				copy(b[at+o.magicAt:], o.magic)
				copy(b[at+o.uuid:], x.uuid)
				if o.address > 0 {
					binary.BigEndian.PutUint64(b[at+o.address:], uint64(at/xfsSector))
				}
				if o.magic == xfsInode {
					b[at+xfsVersionAt], b[at+5], b[at+83] = 3, xfsExtents, xfsExtents
					binary.BigEndian.PutUint64(b[at+xfsNumberAt:], x.inode(int64(at)))
				}
			}
			x.fix(b, 0)
		}
	}
	y := &btrfsFixer{uuid: bytes.Repeat([]byte{7}, 16), renamed: map[[16]byte][16]byte{{1}: {2}}}
	for _, fill := range []byte{0, 0xff, 0x55, rootItem, inodeItem} {
		b := bytes.Repeat([]byte{fill}, pieceSize)
		for at := 0; at < len(b); at += btrfsNode {
			node := b[at : at+btrfsNode]
			copy(node[btrfsUUIDAt:], y.uuid)
			node[nodeLevelAt] = 0
			seal(node)
		}
		y.fix(b, 0)
		for at := 0; at < len(b); at += btrfsNode {
			if got := crc32.Checksum(b[at+btrfsChecksum:at+btrfsNode], castagnoli); got != binary.LittleEndian.Uint32(b[at:]) {
				t.Errorf("node at %#x: the checksum is wrong", at)
			}
		}
	}
}

func TestUUID(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds {
		for digest := range byte(20) {
			uuid := k.uuid(source{digest: [32]byte{digest}})
			if len(uuid) != 36 || uuid[14] != '8' || !strings.ContainsRune("89ab", rune(uuid[19])) || seen[uuid] {
				t.Errorf("%s: UUID %s", k.name, uuid)
			}
			seen[uuid] = true
		}
	}
}
