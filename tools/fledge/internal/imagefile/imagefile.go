// Package imagefile opens images by what is in them, never by their names, and finds the manifests that go with them.
package imagefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/cpioread"
	"github.com/fledge-build/fledge/tools/fledge/internal/squashfsread"
	"github.com/fledge-build/fledge/tools/fledge/internal/superblock"
)

// Image is an opened image.
type Image struct {
	artifact.Artifact
	Name     string    // the file
	Manifest *Manifest // nil is none
	verity   *artifact.VerityInfo
	f        *os.File
	r        *reader // f, until the context ends
}

// reader reads a file until a context ends.
type reader struct {
	ctx context.Context
	f   *os.File
}

func (r *reader) ReadAt(p []byte, at int64) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.f.ReadAt(p, at)
}

// Open opens the image in a file. The name of a manifest.json stands for the rootfs that the manifest names, or else
// its initramfs. When ctx ends, so does whatever reads the image, with an error.
func Open(ctx context.Context, name string) (*Image, error) { return open(ctx, name, true) }

func open(ctx context.Context, name string, manifest bool) (*Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	head, size, err := begin(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if manifest && bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) {
		f.Close()
		return openManifest(ctx, name)
	}
	im := &Image{Name: name, f: f, r: &reader{ctx, f}}
	if im.Artifact, err = detect(im.r, size, head); err == nil {
		im.verity, err = findVerity(im.r, im.Artifact.Info())
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	} else {
		im.Manifest, err = findManifest(name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return im, nil
}

// Walk is that of the artifact, until the context ends: not all that it gives has to be read for it.
func (im *Image) Walk(path string) iter.Seq2[*artifact.Entry, error] {
	return func(yield func(*artifact.Entry, error) bool) {
		for e, err := range im.Artifact.Walk(path) {
			if ctx := im.r.ctx; err == nil && ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Close closes the file.
func (im *Image) Close() error { return im.f.Close() }

// FileDigest is the SHA-256 of the file, as "sha256:HEX".
func (im *Image) FileDigest() (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(im.r, 0, im.Info().Size)); err != nil {
		return "", fmt.Errorf("%s: %w", im.Name, err)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil)), nil
}

func begin(f *os.File) (head []byte, size int64, err error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, err
	case info.IsDir():
		return nil, 0, errors.New("a folder, not an image")
	}
	// Devices have their size at their end only.
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, 0, fmt.Errorf("it cannot be read at any place, as an image has to be: %w", err)
	}
	head = make([]byte, min(superblock.HeadSize, size))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	return head, size, nil
}

func detect(r io.ReaderAt, size int64, head []byte) (artifact.Artifact, error) {
	if bytes.HasPrefix(head, []byte(squashfsread.Magic)) {
		return opened(squashfsread.Open(r, size))
	}
	for _, m := range []string{cpioread.MagicNewc, cpioread.MagicCRC} {
		if bytes.HasPrefix(head, []byte(m)) {
			return opened(cpioread.Open(r, size))
		}
	}
	// First, as compressed data may have any of the bytes that tell other formats.
	if name := cpioread.Compressor(head); name != "" {
		a, err := cpioread.Open(r, size)
		if err != nil {
			return nil, fmt.Errorf("data compressed with %s, read as an initramfs: %w", name, err)
		}
		return a, nil
	}
	if kind := superblock.Kind(head); kind != "" {
		return opened(superblock.Open(r, size, kind))
	}
	what := recognise(head)
	if what == "" {
		what = fmt.Sprintf("nothing known: it begins with %x", head[:min(8, len(head))])
	}
	return nil, fmt.Errorf("this is %s; fledge reads images of %s, and cpio archives (initramfs)", what, strings.Join(packing.Filesystems, ", "))
}

// opened makes an interface of a reader, without that of a nil one.
func opened[R artifact.Artifact](r R, err error) (artifact.Artifact, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// recognise names what an image is that fledge does not read.
func recognise(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	for _, known := range []struct {
		at          int
		magic, name string
	}{
		{0, "sqsh", "a squashfs image of an old big-endian version"},
		{0, "070707", "a cpio archive in the old portable format"},
		{0, "\xc7\x71", "a cpio archive in the old binary format"},
		{0, "\x04\x22\x4d\x18", "an lz4 frame, which no kernel takes for an initramfs (lz4 -l makes what it takes)"},
		{0x400, "\x10\x20\xf5\xf2", "an F2FS file system"},
		{0, "QFI\xfb", "a qcow2 disk"},
		{0, "\x7fELF", "an ELF program"},
		{0, "PK\x03\x04", "a zip archive"},
		{257, "ustar", "a tar archive"},
		{0x202, "HdrS", "a Linux kernel"},
		{510, "\x55\xaa", "a disk with partitions, or a boot sector"},
	} {
		if len(head) > known.at && bytes.HasPrefix(head[known.at:], []byte(known.magic)) {
			return known.name
		}
	}
	return ""
}

// VerifyAll reads and checks everything, also that the digest is that of the manifest, and the root hash of dm-verity that
// of the manifest and of NAME.verity.json.
func (im *Image) VerifyAll() error {
	err := im.Verify()
	if err == nil {
		err = im.verifyVerity()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", im.Name, err)
	}
	if im.Manifest == nil || im.Manifest.Checksum == "" {
		return nil
	}
	digest, err := im.FileDigest()
	if err == nil && digest != im.Manifest.Checksum {
		err = fmt.Errorf("%s: its digest is %s, and %s says %s: one of the two is of another build; build both anew",
			im.Name, digest, im.Manifest.Name, im.Manifest.Checksum)
	}
	return err
}
