// Package zstdblock compresses into Zstandard frames (RFC 8878). Encoder makes them of independent blocks, as squashfs
// stores them: the whole input is in memory, at most 1 MiB, and becomes one single-segment frame with its content size, no
// checksum and no dictionary. Writer makes them of streams, for the segments of an initramfs.
package zstdblock

import (
	"encoding/binary"
	"fmt"
)

const (
	// MinLevel and MaxLevel bound the compression levels.
	MinLevel = 1
	MaxLevel = 22
	// MaxBlockSize is the largest maxBlockSize, in bytes.
	MaxBlockSize = 1 << 20

	frameMagic   = 0xfd2fb528
	maxZstdBlock = 128 << 10 // Block_Maximum_Size, RFC 8878 section 3.1.1.2.4
)

// Encoder compresses blocks. It may be used for any number of blocks, by one goroutine at a time.
type Encoder struct {
	max    int
	parser parser
	reps   [3]uint32 // offsets that the decoder knows at the start of the next zstd block
	lits   []byte
	lit    literalsCoder
	seq    sequencesCoder
	buf    []byte
}

// parser turns input into sequences.
type parser interface {
	// begin starts a frame with content src.
	begin(src []byte)
	// split returns where the zstd block that starts at lo should end; at most hi.
	split(lo, hi int) int
	// parse returns the sequences for src[lo:hi], what follows the last one is literals, and the repeated offsets
	// after them. Calls for one frame go forward without gaps. The result is valid until the next call.
	parse(lo, hi int, reps [3]uint32) ([]sequence, [3]uint32)
}

// NewEncoder returns an encoder for blocks of at most maxBlockSize bytes (1 to MaxBlockSize) at a level from MinLevel
// to MaxLevel. Memory: see docs/zstd-encoder.md.
func NewEncoder(level, maxBlockSize int) (*Encoder, error) {
	if level < MinLevel || level > MaxLevel {
		return nil, fmt.Errorf("zstd level %d: want %d to %d", level, MinLevel, MaxLevel)
	}
	if maxBlockSize < 1 || maxBlockSize > MaxBlockSize {
		return nil, fmt.Errorf("zstd block size %d: want 1 to %d bytes", maxBlockSize, MaxBlockSize)
	}
	return newEncoder(newParser(level, maxBlockSize), maxBlockSize), nil
}

func newEncoder(p parser, maxBlockSize int) *Encoder {
	zblock := min(maxBlockSize, maxZstdBlock)
	e := &Encoder{
		max:    maxBlockSize,
		parser: p,
		lits:   make([]byte, zblock+64),
		buf:    make([]byte, 4*zblock+1024),
	}
	e.seq.init(zblock/minMatch + 1)
	return e
}

// Encode appends src to dst as one frame and returns the extended slice. The bytes depend on src, the level and
// maxBlockSize alone. A src longer than maxBlockSize becomes several frames.
func (e *Encoder) Encode(dst, src []byte) []byte {
	for len(src) > e.max {
		dst = e.frame(dst, src[:e.max:e.max])
		src = src[e.max:]
	}
	return e.frame(dst, src)
}

func (e *Encoder) frame(dst, src []byte) []byte {
	dst = appendFrameHeader(dst, len(src))
	if len(src) == 0 {
		return appendBlockHeader(dst, blockRaw, 0, true)
	}
	e.reset()
	e.parser.begin(src)
	for lo := 0; lo < len(src); {
		hi := e.parser.split(lo, min(lo+maxZstdBlock, len(src)))
		dst = e.block(dst, src, lo, hi, hi == len(src))
		lo = hi
	}
	return dst
}

// reset forgets what the decoder knows.
func (e *Encoder) reset() {
	e.reps = [3]uint32{1, 4, 8}
	e.lit.reset()
	e.seq.reset()
}

func appendFrameHeader(dst []byte, size int) []byte {
	const single = 1 << 5
	dst = binary.LittleEndian.AppendUint32(dst, frameMagic)
	switch {
	case size < 256:
		return append(dst, single, byte(size))
	case size < 256+1<<16:
		return binary.LittleEndian.AppendUint16(append(dst, single|1<<6), uint16(size-256))
	}
	return binary.LittleEndian.AppendUint32(append(dst, single|2<<6), uint32(size))
}

// Block types, RFC 8878 section 3.1.1.2.2.
const (
	blockRaw        = 0
	blockRLE        = 1
	blockCompressed = 2
)

func appendBlockHeader(dst []byte, kind, size int, last bool) []byte {
	v := size<<3 | kind<<1
	if last {
		v |= 1
	}
	return append(dst, byte(v), byte(v>>8), byte(v>>16))
}

// block appends the zstd block for src[lo:hi], which may be the last of the frame.
func (e *Encoder) block(dst, src []byte, lo, hi int, last bool) []byte {
	if isRun(src[lo:hi]) {
		return append(appendBlockHeader(dst, blockRLE, hi-lo, last), src[lo])
	}
	seqs, reps := e.parser.parse(lo, hi, e.reps)
	n := e.lit.encode(e.buf, e.gather(src, lo, hi, seqs))
	if n < hi-lo {
		n += e.seq.encode(e.buf[n:], seqs)
	}
	if n >= hi-lo {
		return append(appendBlockHeader(dst, blockRaw, hi-lo, last), src[lo:hi]...)
	}
	e.reps = reps
	e.lit.commit()
	e.seq.commit()
	return append(appendBlockHeader(dst, blockCompressed, n, last), e.buf[:n]...)
}

// gather collects the literals of src[lo:hi].
func (e *Encoder) gather(src []byte, lo, hi int, seqs []sequence) []byte {
	n := 0
	for i := range seqs {
		s := &seqs[i]
		ll := int(s.ll)
		if ll <= 16 && lo+16 <= len(src) && n+16 <= len(e.lits) {
			*(*[16]byte)(e.lits[n:]) = *(*[16]byte)(src[lo:])
		} else {
			copy(e.lits[n:], src[lo:lo+ll])
		}
		n += ll
		lo += ll + int(s.ml)
	}
	n += copy(e.lits[n:], src[lo:hi])
	return e.lits[:n]
}

// isRun reports whether b is one byte repeated.
func isRun(b []byte) bool {
	if b[0] != b[len(b)-1] {
		return false
	}
	for i := 1; i < len(b); i++ {
		if b[i] != b[0] {
			return false
		}
	}
	return true
}
