// Package fill makes xfs and btrfs images without root: mkfs makes an empty file system in a file, and a virtual machine
// copies the tree of an ext4 image into it. The other half is the program tools/fill, the machine's first process; package
// wire is what both agree on.
package fill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fledge-build/fledge/internal/ext4"
	"github.com/fledge-build/fledge/internal/fill/wire"
	"github.com/fledge-build/fledge/internal/tempfile"
	"github.com/fledge-build/fledge/internal/vmm"
)

// Machine is what a fill runs in.
type Machine struct {
	Driver    vmm.Driver
	Arch      string        // of kernel and guest: amd64 or arm64
	Kernel    string        // file
	Initramfs string        // file, as bootfs.WriteGuest makes it of tools/fill and of the modules of bootfs.SelectFillModules
	MemoryMB  int           // MiB; 0 is 512
	Limit     time.Duration // how long it may run; 0 is an hour
}

// Options is what to make, of what, and who is told.
type Options struct {
	Kind       string // XFS or Btrfs
	Mkfs       string // program; see FindMkfs
	Source     string // ext4 image, as ext4.Link writes it, of the tree
	SizeBuffer int    // free space in MiB; 0 is a quarter of the content, at least 64, at most 1024
	TempDir    string // folder for the image while it is made, with room for all of it
	Machine    Machine
	// Progress is told of how many names and bytes of data have been copied, about once a second; may be nil.
	Progress func(entries, bytes int64)
}

// Stats tell what an image holds. Sizes are in bytes.
type Stats struct {
	Size    int64 // of the image
	Free    int64 // of these, as the file system counts it
	Entries int64 // names in the tree
	Bytes   int64 // of file data
	Dropped wire.Dropped
}

// Defaults of Machine.
const (
	usualMemory = 512 // MiB
	usualLimit  = time.Hour
)

// errFull is what a fill fails with when the file system was too small.
var errFull = errors.New("no space is left")

// Fill writes the image to w, from front to back, once it is complete. The same tree gives the same file system UUID;
// docs/xfs-btrfs.md tells what else is the same in every run.
func Fill(ctx context.Context, w io.Writer, o Options) (Stats, error) {
	k, err := o.check()
	if err != nil {
		return Stats{}, err
	}
	src, err := openSource(ctx, o.Source)
	if err != nil {
		return Stats{}, err
	}
	dir, err := tempfile.MakeFolder(filepath.Join(o.TempDir, "fill"))
	if err != nil {
		return Stats{}, err
	}
	defer dir.Remove()
	t := task{Options: o, kind: k, source: src, file: filepath.Join(dir.Path, "image")}
	size := k.size(src, int64(ext4.BufferSize(o.SizeBuffer, uint64(src.used))))
	stats, err := t.make(ctx, size)
	if errors.Is(err, errFull) {
		// The estimate was too small: rare, and dearer than a larger one, but the image is made.
		size += size / 2
		stats, err = t.make(ctx, size)
	}
	if errors.Is(err, errFull) {
		err = fmt.Errorf("%w; a size buffer larger than %d MiB makes the file system larger", err, o.SizeBuffer)
	}
	if err != nil {
		return Stats{}, fmt.Errorf("fill %s with the tree of %s: %w", o.Kind, o.Source, err)
	}
	return stats, t.copyTo(ctx, w)
}

// check finds what is missing in the options, and sets what they leave open.
func (o *Options) check() (kind, error) {
	k, err := kindOf(o.Kind)
	if err != nil {
		return k, err
	}
	if o.SizeBuffer < 0 || o.SizeBuffer > ext4.MaxSizeBuffer {
		return k, fmt.Errorf("size buffer of %d MiB: use 0 to %d", o.SizeBuffer, ext4.MaxSizeBuffer)
	}
	if o.Machine.MemoryMB == 0 {
		o.Machine.MemoryMB = usualMemory
	}
	if o.Machine.Limit == 0 {
		o.Machine.Limit = usualLimit
	}
	return k, nil
}

// task is a fill with what it needs.
type task struct {
	Options
	kind   kind
	source source
	file   string // the image while it is made
	fixer  fixer  // of what mkfs made
}

// make makes the image with a size in bytes.
func (t *task) make(ctx context.Context, size int64) (Stats, error) {
	if err := t.mkfs(ctx, size); err != nil {
		return Stats{}, err
	}
	last, err := t.run(ctx)
	if err != nil {
		return Stats{}, err
	}
	s := Stats{Size: size, Free: last.Free, Entries: last.Entries, Bytes: last.Bytes}
	if last.Dropped != nil {
		s.Dropped = *last.Dropped
	}
	return s, nil
}

// fixer takes out of an image what differs between runs, piece by piece. A piece and its offset at are multiples of 64 KiB,
// but for the image's end, which is a multiple of 4096 bytes.
type fixer interface {
	fix(b []byte, at int64)
}

// pieceSize is that of the pieces, in bytes.
const pieceSize = 1 << 20

// copyTo writes the finished image to w, what differs between runs taken out.
func (t *task) copyTo(ctx context.Context, w io.Writer) error {
	f, err := os.Open(t.file)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, pieceSize)
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(f, b)
		if err == io.EOF {
			return nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return err
		}
		t.fixer.fix(b[:n], at)
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Warnings has a line for each thing that the image could not keep.
func Warnings(kind string, s Stats) (lines []string) {
	if d := s.Dropped; d.Count > 0 {
		lines = append(lines, fmt.Sprintf("dropped %d extended attributes that %s does not take, the first %q of %s",
			d.Count, kind, d.Name, d.Path))
	}
	return lines
}
