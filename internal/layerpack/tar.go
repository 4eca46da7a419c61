package layerpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/fstree"
)

// Adder takes the entries of a layer, in their order. Add's data holds the size bytes of a regular file and is nil for
// other types; the entry's Content is ignored.
type Adder interface {
	Add(e fstree.Entry, data io.Reader, size int64) error
}

// AddLayer hands the entries of a layer of size bytes, compressed or not (Decompress), to an Adder, up to the first
// error. More than maxUnpacked bytes of files, holes included, are an error; with 0, the layer may decompress to what
// UnpackLimit says, and its files may have 64 GiB more (holes of sparse files).
func AddLayer(ctx context.Context, to Adder, layer io.Reader, size, maxUnpacked int64) error {
	limit := maxUnpacked
	if limit == 0 {
		limit = UnpackLimit(size)
		maxUnpacked = limit + maxHoles
	}
	archive, err := Decompress(layer, limit)
	if err != nil {
		return err
	}
	defer archive.Close()
	return AddTar(ctx, to, archive, maxUnpacked)
}

// PackTar packs an uncompressed tar archive into f, which is empty and seekable.
func PackTar(ctx context.Context, archive io.Reader, f *os.File, o Options) (Stats, error) {
	return buildWith(f, o, func(b *Builder) error { return AddTar(ctx, b, archive, 0) })
}

func buildWith(f *os.File, o Options, add func(*Builder) error) (Stats, error) {
	b, err := NewBuilder(f, o)
	if err != nil {
		return Stats{}, err
	}
	if err := add(b); err != nil {
		b.err = err // which tells the place of an error of b's own
	}
	return b.Close()
}

// AddTar hands the entries of an uncompressed tar archive to an Adder, up to the first error. It knows v7, ustar, PAX
// with SCHILY.xattr and LIBARCHIVE.xattr records, GNU with long names, and the sparse files of GNU and PAX. Names must be
// relative and stay below the root, targets of hard links too; targets of symlinks are kept as they are. More than
// maxUnpacked bytes of files, unless that is 0, are an error.
func AddTar(ctx context.Context, to Adder, archive io.Reader, maxUnpacked int64) error {
	in := &tarStream{ctx: ctx, r: archive}
	t := tar.NewReader(in)
	place := "before the first entry"
	for unpacked := int64(0); ; {
		in.zeroBlock = false
		h, err := t.Next()
		switch {
		case errors.Is(err, tar.ErrInsecurePath): // checked below, whatever GODEBUG says
		case errors.Is(err, io.EOF):
			err = in.end()
			fallthrough
		case err != nil:
			return at(place, err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // comments of git; no tool applies its fields to layers
		}
		place = fmt.Sprintf("entry %.1000q", h.Name) // a name may have a megabyte
		e, err := entryOf(h)
		if err != nil {
			return at(place, err)
		}
		if unpacked += h.Size; maxUnpacked > 0 && (unpacked < 0 || unpacked > maxUnpacked) {
			return at(place, fmt.Errorf("the files so far have more than %d bytes, holes included; "+
				"if they are meant to, raise --max-unpacked-size", maxUnpacked))
		}
		if err := to.Add(e, t, h.Size); err != nil {
			return at(place, err)
		}
		place = "after " + place
	}
}

// at wraps an error with its place in the archive.
func at(place string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return fmt.Errorf("%s: the tar archive is cut off", place)
	}
	return fmt.Errorf("%s: %w", place, err)
}

// tarStream reads an archive and watches its end, about which package tar is lenient.
type tarStream struct {
	ctx       context.Context
	r         io.Reader
	n         int64 // bytes read
	eof       bool  // r has no more
	zeroBlock bool  // a block of zeros was read since this was last cleared
}

func (s *tarStream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.zeroBlock = s.zeroBlock || n == blockTar && isZero(p[:n])
	s.eof = s.eof || errors.Is(err, io.EOF)
	return n, err
}

// end reads what is left after the last entry: the archive must have an end mark and after it nothing but zeros.
// Reading on also verifies the decompressor's last checksum.
func (s *tarStream) end() error {
	if s.eof && !s.zeroBlock {
		return fmt.Errorf("the tar archive is cut off: it has no end mark at byte %d", s.n)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := s.Read(buf)
		if n > 0 && !isZero(buf[:n]) {
			return fmt.Errorf("data behind the end of the tar archive, at about byte %d", s.n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
