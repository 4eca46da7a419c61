package cpioread

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// Bounds, so that a small file does not take all memory or time.
const (
	maxSegments  = 1 << 20
	maxRecords   = 4 << 20
	maxNames     = 256 << 20 // bytes of all names and targets of symlinks, which are kept
	freeUnpacked = 16 << 30  // bytes that any file may unpack to
	maxRatio     = 200       // above that, unpacked bytes for each byte of the file
)

var errNames = fmt.Errorf("the names and the targets of symlinks so far have more than %d bytes", maxNames)

// scanner goes through a file as the kernel does (init/initramfs.c): segments one after the other, compressed or not.
type scanner struct {
	r    io.ReaderAt
	size int64
	// visit gets every record, trailers too. content is of regular files; what is not read of it is skipped.
	visit    func(rec *record, content io.Reader) error
	segments []artifact.Segment
	notes    *notes
	records  int
	names    int64 // bytes
	unpacked int64
}

// source is what records are read from. With a section, which is the file, skipping is free.
type source struct {
	b       *bufio.Reader
	at      int64
	section *io.SectionReader
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.b.Read(p)
	s.at += int64(n)
	return n, err
}

func (s *source) full(p []byte) error {
	_, err := io.ReadFull(s, p)
	return noEOF(err)
}

// skip goes on by n bytes, which have to be there.
func (s *source) skip(n int64) error {
	if s.section == nil || n <= int64(s.b.Buffered()) {
		k, err := io.CopyN(io.Discard, s.b, n)
		s.at += k
		return noEOF(err)
	}
	if s.at+n > s.section.Size() {
		return io.ErrUnexpectedEOF
	}
	s.at += n
	if _, err := s.section.Seek(s.at, io.SeekStart); err != nil {
		return err
	}
	s.b.Reset(s.section)
	return nil
}

// zeros skips zeros and tells the byte behind them.
func (s *source) zeros() (next byte, err error) {
	for {
		c, err := s.b.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != 0 {
			return c, s.b.UnreadByte()
		}
		s.at++
	}
}

func (s *scanner) scan() error {
	section := io.NewSectionReader(s.r, 0, s.size)
	raw := &source{b: bufio.NewReaderSize(section, bufferSize), section: section}
	for {
		next, err := raw.zeros()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(s.segments) >= maxSegments:
			return fmt.Errorf("more than %d segments", maxSegments)
		}
		if next == '0' && raw.at%4 == 0 {
			err = s.archive(raw)
		} else {
			err = s.compressed(raw)
		}
		if err != nil {
			return err
		}
	}
}

// archive reads records up to a trailer, or to what is none.
func (s *scanner) archive(raw *source) error {
	s.segments = append(s.segments, artifact.Segment{Offset: raw.at, Compressor: "none"})
	seg := &s.segments[len(s.segments)-1]
	for seg.Trailers == 0 {
		next, err := raw.zeros()
		if errors.Is(err, io.EOF) || err == nil && (next != '0' || raw.at%4 != 0) {
			break
		}
		if err != nil {
			return err
		}
		start := raw.at
		if err := s.record(raw, seg); err != nil {
			return fmt.Errorf("record at byte %d: %w", start, err)
		}
		seg.Size = raw.at - seg.Offset
		seg.Unpacked = seg.Size
	}
	return nil
}

// compressed reads a compressed segment.
func (s *scanner) compressed(raw *source) error {
	at := raw.at
	name, z, err := openStream(s.r, at, s.size)
	if err != nil {
		return fmt.Errorf("segment %d at byte %d: %w", len(s.segments), at, err)
	}
	if z.close != nil {
		defer z.close()
	}
	s.segments = append(s.segments, artifact.Segment{Offset: at, Compressor: name})
	i := len(s.segments) - 1
	seg := &s.segments[i]
	src := &source{b: bufio.NewReaderSize(&limited{s, z}, bufferSize)}
	if err := s.packed(src, seg); err != nil {
		return fmt.Errorf("segment %d (%s, at byte %d): %w", i, name, at, err)
	}
	if z.note != "" {
		s.notes.add("segment %d: %s", i, z.note)
	}
	seg.Unpacked = src.at
	seg.Size = z.end() - at
	return raw.skip(seg.Size)
}

// packed reads all records of a compressed segment.
func (s *scanner) packed(src *source, seg *artifact.Segment) error {
	for {
		next, err := src.zeros()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("at byte %d of what is unpacked: %w", src.at, err)
		case next != '0' || src.at%4 != 0:
			return fmt.Errorf("at byte %d of what is unpacked: no cpio record begins there", src.at)
		}
		start := src.at
		if err := s.record(src, seg); err != nil {
			return fmt.Errorf("record at byte %d of what is unpacked: %w", start, err)
		}
	}
}

// limited bounds what all segments unpack to together.
type limited struct {
	s *scanner
	r io.Reader
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	limit := max(freeUnpacked, maxRatio*l.s.size)
	if l.s.unpacked += int64(n); l.s.unpacked > limit {
		return 0, fmt.Errorf("the file unpacks to more than %d bytes", limit)
	}
	return n, err
}

// record reads one record and has it visited.
func (s *scanner) record(src *source, seg *artifact.Segment) error {
	start := src.at
	var head [headerSize]byte
	if err := src.full(head[:]); err != nil {
		return err
	}
	rec, err := decodeHeader(head[:])
	if err != nil {
		return err
	}
	rec.start, rec.segment = start, len(s.segments)-1
	if s.records++; s.records > maxRecords {
		return fmt.Errorf("more than %d records", maxRecords)
	}
	padded := (headerSize+int64(rec.nameSize)+3)&^3 - headerSize
	end := start + headerSize + padded + rec.Size
	if rec.nameSize == 0 || rec.nameSize > maxName {
		s.notes.add("segment %d: a record with a name of %d bytes, which the kernel skips", rec.segment, rec.nameSize)
		return s.finish(src, end)
	}
	if s.names += int64(rec.nameSize); s.names > maxNames {
		return errNames
	}
	name := make([]byte, padded)
	if err := src.full(name); err != nil {
		return err
	}
	if err := rec.setName(name[:rec.nameSize]); err != nil {
		return err
	}
	err = s.body(src, rec)
	if err == nil {
		err = s.finish(src, end)
	}
	if err != nil {
		return fmt.Errorf("%.200q: %w", rec.Name, err)
	}
	if rec.Name == trailer {
		seg.Trailers++
	} else {
		seg.Entries++
	}
	return nil
}

// body has the record visited with what follows its name.
func (s *scanner) body(src *source, rec *record) error {
	rec.content = src.at
	if rec.Mode&typeMask != cpio.TypeSymlink {
		content := &io.LimitedReader{R: src, N: rec.Size}
		return s.visit(rec, &wholeReader{content})
	}
	if rec.Size > maxName {
		s.notes.add("segment %d: %.200q: a target of %d bytes, which the kernel skips", rec.segment, rec.Name, rec.Size)
		return nil
	}
	if s.names += rec.Size; s.names > maxNames {
		return errNames
	}
	target := make([]byte, rec.Size)
	if err := src.full(target); err != nil {
		return err
	}
	rec.target = string(target)
	return s.visit(rec, nil)
}

// wholeReader has an error for content that ends early.
type wholeReader struct{ l *io.LimitedReader }

func (w *wholeReader) Read(p []byte) (int, error) {
	n, err := w.l.Read(p)
	if errors.Is(err, io.EOF) && w.l.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// finish goes to the end of a record's content and behind its padding, which the very last one may lack.
func (s *scanner) finish(src *source, end int64) error {
	if err := src.skip(end - src.at); err != nil {
		return err
	}
	for src.at%4 != 0 {
		if _, err := src.b.ReadByte(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		src.at++
	}
	return nil
}
