package layerpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// PackLayer packs a layer of size bytes, compressed or not (Decompress), into f, which is empty and seekable. Without
// o.MaxUnpacked, it may decompress to what UnpackLimit says, and its files may have 64 GiB more (holes of sparse
// files).
func PackLayer(ctx context.Context, layer io.Reader, size int64, f *os.File, o Options) (Stats, error) {
	limit := o.MaxUnpacked
	if limit == 0 {
		limit = UnpackLimit(size)
		o.MaxUnpacked = limit + maxHoles
	}
	archive, err := Decompress(layer, limit)
	if err != nil {
		return Stats{}, err
	}
	defer archive.Close()
	return PackTar(ctx, archive, f, o)
}

// PackTar packs an uncompressed tar archive into f, which is empty and seekable. It knows v7, ustar, PAX with
// SCHILY.xattr and LIBARCHIVE.xattr records, GNU with long names, and the sparse files of GNU and PAX. Names must be
// relative and stay below the root, targets of hard links too; targets of symlinks are kept as they are. More than
// o.MaxUnpacked bytes of files, unless that is 0, are an error.
func PackTar(ctx context.Context, archive io.Reader, f *os.File, o Options) (Stats, error) {
	b, err := NewBuilder(f, o)
	if err != nil {
		return Stats{}, err
	}
	if err := addTar(ctx, b, archive); err != nil {
		b.err = err // which tells the place of an error of b's own
	}
	return b.Close()
}

func addTar(ctx context.Context, b *Builder, archive io.Reader) error {
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
		if unpacked += h.Size; b.o.MaxUnpacked > 0 && (unpacked < 0 || unpacked > b.o.MaxUnpacked) {
			return at(place, fmt.Errorf("the files so far have more than %d bytes, holes included; "+
				"if they are meant to, raise --max-unpacked-size", b.o.MaxUnpacked))
		}
		if err := b.Add(e, t, h.Size); err != nil {
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
