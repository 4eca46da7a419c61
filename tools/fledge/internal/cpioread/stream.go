package cpioread

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"
	"github.com/xi2/xz"
)

var le = binary.LittleEndian

// maxWindow bounds the memory of decompressors, in bytes; the kernel's zstd has the same bound.
const maxWindow = 128 << 20

// bufferSize is what is read at once, in bytes.
const bufferSize = 64 << 10

// compressor is one that the kernel knows, by the first two bytes of its format (lib/decompress.c).
type compressor struct {
	name, magic string
	// open reads the stream that begins at a byte of r and ends somewhere before size.
	open func(r io.ReaderAt, at, size int64) (*stream, error)
}

var compressors = []compressor{
	{"gzip", "\x1f\x8b", openGzip},
	{"bzip2", "BZ", openBzip2},
	{"lzma", "\x5d\x00", openLzma},
	{"xz", "\xfd7", openXz},
	{"lzo", "\x89L", nil},
	{"lz4", "\x02\x21", openLz4},
	{"zstd", "\x28\xb5", openZstd},
}

// stream is what a compressed segment holds. After its end, end tells where in the file that was.
type stream struct {
	io.Reader
	end   func() int64
	close func()
	note  string // why the kernel would not read it
}

// openStream opens the compressed stream at a byte of the file.
func openStream(r io.ReaderAt, at, size int64) (name string, s *stream, err error) {
	head := make([]byte, 6)
	n, err := r.ReadAt(head, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	head = head[:n]
	for _, c := range compressors {
		if !bytes.HasPrefix(head, []byte(c.magic)) {
			continue
		}
		if c.open == nil {
			return c.name, nil, fmt.Errorf("%s is not supported", c.name)
		}
		s, err := c.open(r, at, size)
		if err != nil {
			return c.name, nil, fmt.Errorf("%s data: %w", c.name, noEOF(err))
		}
		return c.name, s, nil
	}
	return "", nil, fmt.Errorf("neither a cpio record nor compressed data%s", guess(head))
}

// guess tells what the kernel does not read.
func guess(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x04\x22\x4d\x18")):
		return ": it is an lz4 frame, of which the kernel reads the legacy format only (lz4 -l)"
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte("\x2a\x4d\x18")):
		return ": it is a skippable frame of zstd, which the kernel does not read"
	case bytes.HasPrefix(head, []byte("0707")):
		return ": records have to begin at a multiple of 4 bytes"
	}
	return fmt.Sprintf(": %x", head)
}

// byteSource reads from a place in a file, and knows how far it got; decompressors that read bytes get no more from it
// than they need.
type byteSource struct {
	b  *bufio.Reader
	at int64
}

func newByteSource(r io.ReaderAt, at, size int64) *byteSource {
	return &byteSource{bufio.NewReaderSize(io.NewSectionReader(r, at, size-at), bufferSize), at}
}

func (s *byteSource) Read(p []byte) (int, error) {
	n, err := s.b.Read(p)
	s.at += int64(n)
	return n, err
}

func (s *byteSource) ReadByte() (byte, error) {
	c, err := s.b.ReadByte()
	if err == nil {
		s.at++
	}
	return c, err
}

func (s *byteSource) position() int64 { return s.at }

func openGzip(r io.ReaderAt, at, size int64) (*stream, error) {
	src := newByteSource(r, at, size)
	z, err := gzip.NewReader(src)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	s := &stream{Reader: z, end: src.position}
	if len(z.Extra) > 0 {
		s.note = "its gzip header has an extra field, which the kernel does not read"
	}
	return s, nil
}

func openLzma(r io.ReaderAt, at, size int64) (*stream, error) {
	src := newByteSource(r, at, size)
	z, err := lzma.ReaderConfig{DictCap: maxWindow}.NewReader(src)
	if err != nil {
		return nil, err
	}
	return &stream{Reader: z, end: src.position}, nil
}

// openBzip2 reads streams that follow each other as one. The library looks for another behind the end, so two bytes
// more have to be there.
func openBzip2(r io.ReaderAt, at, size int64) (*stream, error) {
	src := newByteSource(r, at, size)
	padded := &zeroSource{byteSource: src}
	s := &stream{end: func() int64 { return src.at + int64(padded.zeros) - 2 }}
	s.Reader = readerFunc(func() func(p []byte) (int, error) {
		z := bzip2.NewReader(padded)
		return func(p []byte) (int, error) {
			n, err := z.Read(p)
			if err == bzip2.StructuralError("bad magic value in continuation file") {
				err = io.EOF
			}
			return n, err
		}
	}())
	return s, nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// zeroSource has two bytes of zeros behind the end.
type zeroSource struct {
	*byteSource
	zeros int
}

func (z *zeroSource) ReadByte() (byte, error) {
	c, err := z.byteSource.ReadByte()
	if errors.Is(err, io.EOF) && z.zeros < 2 {
		z.zeros++
		return 0, nil
	}
	return c, err
}

// openZstd reads one frame.
func openZstd(r io.ReaderAt, at, size int64) (*stream, error) {
	end, err := zstdEnd(r, at, size)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(io.NewSectionReader(r, at, end-at), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return &stream{Reader: z, end: func() int64 { return end }, close: z.Close}, nil
}

// zstdEnd finds the end of a frame by the headers of its blocks (RFC 8878, section 3.1.1).
func zstdEnd(r io.ReaderAt, at, size int64) (int64, error) {
	var head zstd.Header
	b := make([]byte, zstd.HeaderMaxSize)
	n, err := r.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if err := head.Decode(b[:n]); err != nil {
		return 0, err
	}
	at += int64(head.HeaderSize)
	for last := false; !last; {
		var b [3]byte
		if _, err := r.ReadAt(b[:], at); err != nil {
			return 0, noEOF(err)
		}
		word := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = word&1 != 0
		at += 3
		if kind := word >> 1 & 3; kind == 1 { // a byte to repeat
			at++
		} else {
			at += int64(word >> 3)
		}
	}
	if head.HasCheckSum {
		at += 4
	}
	if at > size {
		return 0, io.ErrUnexpectedEOF
	}
	return at, nil
}

// lz4Block is the most that a block of the legacy format holds (lz4_Frame_format.md, "Legacy frame").
const lz4Block = 8 << 20

// lz4Magic begins a stream, and may stand before any block.
const lz4Magic = 0x184c2102

// lz4Reader reads the legacy format. As for the kernel, a block of size 0 or the end of the file end it.
type lz4Reader struct {
	src  *byteSource
	end  int64
	in   []byte
	out  []byte
	rest []byte
}

func openLz4(r io.ReaderAt, at, size int64) (*stream, error) {
	z := &lz4Reader{src: newByteSource(r, at, size), end: at}
	return &stream{Reader: z, end: func() int64 { return z.end }}, nil
}

func (z *lz4Reader) Read(p []byte) (int, error) {
	for len(z.rest) == 0 {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

func (z *lz4Reader) next() error {
	var head [4]byte
	switch n, err := io.ReadFull(z.src, head[:]); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.Equal(head[:n], make([]byte, n)):
		return io.EOF // padding
	case err != nil:
		return err
	}
	size := le.Uint32(head[:])
	switch {
	case size == 0:
		return io.EOF
	case size == lz4Magic:
		z.end = z.src.at
		return nil
	case size > uint32(lz4.CompressBlockBound(lz4Block)):
		return fmt.Errorf("at byte %d: block of %d bytes; the kernel reads nothing else behind lz4 data", z.src.at-4, size)
	}
	if z.out == nil {
		z.in, z.out = make([]byte, lz4.CompressBlockBound(lz4Block)), make([]byte, lz4Block)
	}
	if _, err := io.ReadFull(z.src, z.in[:size]); err != nil {
		return noEOF(err)
	}
	n, err := lz4.UncompressBlock(z.in[:size], z.out)
	if err != nil {
		return fmt.Errorf("block at byte %d: %w", z.src.at-int64(size)-4, err)
	}
	z.rest, z.end = z.out[:n], z.src.at
	return nil
}

// openXz reads one stream.
func openXz(r io.ReaderAt, at, size int64) (*stream, error) {
	end, check, err := xzEnd(r, at, size)
	if err != nil {
		return nil, err
	}
	z, err := xz.NewReader(io.NewSectionReader(r, at, end-at), maxWindow)
	if err != nil {
		return nil, err
	}
	s := &stream{Reader: z, end: func() int64 { return end }}
	if check > 1 { // neither none nor CRC32
		s.note = "its xz checksum is not CRC32, the only one that the kernel reads"
	}
	return s, nil
}

// noEOF is an error for an end of the file where there should be none.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Compressor names the compressor that made what begins with head, or gives "".
func Compressor(head []byte) string {
	for _, c := range compressors {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return c.name
		}
	}
	return ""
}
