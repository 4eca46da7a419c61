package cpiopack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	xzread "github.com/xi2/xz" // reads dictionaries up to a bound, where the other takes what the header asks for

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/deflate"
	"github.com/fledge-build/fledge/internal/zstdblock"
)

// Uncompressed bytes of file data that a segment gathers, by compressor. A smaller segment is less to compress again
// when a later layer hides one of its files; the window of gzip is so small that it loses next to nothing, the others
// find more in a larger one.
const (
	smallSegment = 1 << 20
	largeSegment = 4 << 20
	hugeSegment  = 8 << 20 // of our own zstd encoder
)

// windowLog is that of all zstd frames: 4 MiB, which the kernel allocates to read them.
const windowLog = 22

// segmentSize is the size of the segments made with spec.
func segmentSize(spec codec.Spec) int {
	switch {
	case ownZstd(spec):
		return hugeSegment
	case spec.Name == "zstd", spec.Name == "lz4":
		return largeSegment
	}
	return smallSegment
}

// ownZstd tells whether Fledge's own zstd encoder serves spec. It is by far the smaller from level 10 on; it has no
// streams below.
func ownZstd(spec codec.Spec) bool {
	return spec.Name == "zstd" && spec.Level >= zstdblock.MinStreamLevel
}

// LZ4Magic begins a stream of lz4 blocks in the legacy format, the only one that the kernel reads (lz4_Frame_format.md,
// "Legacy frame"). Segments have no magic of their own: the kernel takes all that follows one for blocks.
const LZ4Magic = "\x02\x21\x4c\x18"

// lz4Block is how much a block of the legacy format holds, in bytes; the format allows 8 MiB.
const lz4Block = largeSegment

// memoryBudget bounds, in bytes, what all encoders at work and their segments may take, so that a tool stays below
// 128 MB on two cores and 300 MB on machines with many.
const memoryBudget = 160 << 20

// ownThreads is how many goroutines each of our own zstd encoders is to have at least; three can be kept busy.
const ownThreads = 2

// plan is how many segments to compress at once, and with how many goroutines each, when jobs goroutines are asked
// for; 0 is one a core.
func plan(spec codec.Spec, jobs int) (encoders, threads int) {
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	each, share := 4<<20, 1
	switch {
	case ownZstd(spec):
		each, share = 44<<20, ownThreads
	case spec.Name == "zstd":
		each = 24 << 20
	case spec.Name == "xz":
		each = 32 << 20
	case spec.Name == "gzip":
		each = 8 << 20
	}
	encoders = max(1, min(jobs/share, memoryBudget/(each+3*segmentSize(spec))))
	return encoders, (jobs + encoders - 1) / encoders
}

// Encoder compresses segments, one after the other. It is not safe for concurrent use. What it puts out depends on its
// Spec and the data alone.
type Encoder struct {
	spec    codec.Spec
	threads int // of our own zstd encoder
	gzip    *deflate.Encoder
	zstd    interface { // either of two encoders
		io.WriteCloser
		Reset(io.Writer)
	}
}

// DefaultLevel is the level of an initramfs where none is asked for: gzip 6 is smaller than pigz -9 in about a fifth of its
// time, see docs/performance.md.
func DefaultLevel(compressor string) int {
	return map[string]int{"gzip": 6, "zstd": 15}[compressor]
}

// NewEncoders makes as many encoders as keep jobs goroutines busy (0 is one a core), or fewer where they would take
// much memory.
func NewEncoders(spec codec.Spec, jobs int) []*Encoder {
	n, threads := plan(spec, jobs)
	list := make([]*Encoder, n)
	for i := range list {
		list[i] = &Encoder{spec: spec, threads: threads}
	}
	return list
}

// Compress writes the compressed form of what write puts out to w.
func (e *Encoder) Compress(w io.Writer, write func(io.Writer) error) error {
	z, err := e.writer(w)
	if err != nil {
		return err
	}
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}

func (e *Encoder) writer(w io.Writer) (io.WriteCloser, error) {
	switch e.spec.Name {
	case "gzip":
		z, err := e.deflate()
		if err != nil {
			return nil, err
		}
		return deflate.NewGzipWriter(w, z), nil
	case "zstd":
		if e.zstd == nil {
			if err := e.newZstd(); err != nil {
				return nil, err
			}
		}
		e.zstd.Reset(w)
		return e.zstd, nil
	case "xz":
		// CRC32 is the only check that the kernel verifies (Documentation/staging/xz.rst).
		return xz.WriterConfig{DictCap: smallSegment, CheckSum: xz.CRC32}.NewWriter(w)
	case "lz4":
		return &lz4Writer{w: w}, nil
	}
	return nopCloser{w}, nil
}

// deflate is the encoder of gzip streams.
func (e *Encoder) deflate() (z *deflate.Encoder, err error) {
	if e.gzip == nil {
		e.gzip, err = deflate.NewEncoder(e.spec.Level, deflate.MaxChunk)
	}
	return e.gzip, err
}

func (e *Encoder) newZstd() (err error) {
	if ownZstd(e.spec) {
		e.zstd, err = zstdblock.NewWriter(e.spec.Level, windowLog, e.threads)
		return err
	}
	e.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(e.spec.Level)),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<windowLog), zstd.WithLowerEncoderMem(true))
	return err
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// lz4Writer writes blocks of the legacy format: each its compressed size and the data.
type lz4Writer struct {
	w   io.Writer
	src []byte
}

func (z *lz4Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), lz4Block-len(z.src))
		z.src = append(z.src, p[:k]...)
		n, p = n+k, p[k:]
		if len(z.src) == lz4Block {
			if err := z.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (z *lz4Writer) flush() error {
	if len(z.src) == 0 {
		return nil
	}
	// With less room than that, data that grows is an error for the library.
	out := make([]byte, 4+lz4.CompressBlockBound(len(z.src)))
	c := lz4.CompressorHC{Level: lz4.Level9}
	size, err := c.CompressBlock(z.src, out[4:])
	if err != nil {
		return fmt.Errorf("lz4 block: %w", err)
	}
	z.src = z.src[:0]
	binary.LittleEndian.PutUint32(out, uint32(size))
	_, err = z.w.Write(out[:4+size])
	return err
}

func (z *lz4Writer) Close() error { return z.flush() }

// decompress gives what a segment holds. Close must be called.
func decompress(spec codec.Spec, r io.Reader) (io.ReadCloser, error) {
	switch spec.Name {
	case "gzip":
		return gzip.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(1<<windowLog))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case "xz":
		z, err := xzread.NewReader(r, smallSegment)
		if err != nil {
			return nil, err
		}
		z.Multistream(false)
		return io.NopCloser(z), nil
	case "lz4":
		return io.NopCloser(&lz4Reader{r: r}), nil
	}
	return io.NopCloser(r), nil
}

// lz4Reader reads what lz4Writer wrote.
type lz4Reader struct {
	r    io.Reader
	rest []byte
}

func (z *lz4Reader) Read(p []byte) (int, error) {
	if len(z.rest) == 0 {
		var head [4]byte
		if _, err := io.ReadFull(z.r, head[:]); err != nil {
			return 0, err
		}
		size := binary.LittleEndian.Uint32(head[:])
		if size > uint32(lz4.CompressBlockBound(lz4Block)) {
			return 0, errors.New("lz4 block is too large")
		}
		src := make([]byte, size)
		if _, err := io.ReadFull(z.r, src); err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		out := make([]byte, lz4Block)
		n, err := lz4.UncompressBlock(src, out)
		if err != nil {
			return 0, fmt.Errorf("lz4 block: %w", err)
		}
		z.rest = out[:n]
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}
