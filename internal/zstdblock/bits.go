package zstdblock

import (
	"encoding/binary"

	"github.com/fledge-build/fledge/internal/entropy"
)

// bitWriter writes the backward bit streams of RFC 8878 section 4.1: fields go in from the low bit up, the reader
// starts at the end. The caller sizes buf; at least eight bytes beyond the last one written must exist.
type bitWriter struct {
	acc uint64
	n   uint
	buf []byte
	pos int
}

// add appends the low n bits of v, n <= 32. At most 64 bits may gather between flushes, seven of them left over.
func (w *bitWriter) add(v uint64, n uint) {
	w.acc |= (v & (1<<(n&63) - 1)) << (w.n & 63)
	w.n += n
}

// flush moves whole bytes out.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.buf[w.pos:], w.acc)
	w.pos += int(w.n >> 3)
	w.acc >>= w.n & 56
	w.n &= 7
}

// close writes the end mark and the last partial byte.
func (w *bitWriter) close() {
	w.add(1, 1)
	w.flush()
	if w.n > 0 {
		w.pos++
	}
	w.acc, w.n = 0, 0
}

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// costOne is one bit in the fixed point in which prices are counted.
const (
	costShift = entropy.Shift
	costOne   = entropy.One
)
