package zstdblock

import (
	"encoding/binary"
	"math/bits"
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
	costShift = 8
	costOne   = 1 << costShift
)

// log2Frac[i] is log2(1 + i/256) in units of costOne. It is computed in integers: floating point may be fused on some
// machines, and every price must be the same on all of them.
var log2Frac = func() (t [257]uint16) {
	for i := range t {
		x := uint64(256+i) << 22 // 1.0 is 1<<30
		r := 0
		if x >= 1<<31 {
			t[i] = costOne
			continue
		}
		for b := 0; b < costShift+2; b++ {
			x = x * x >> 30
			r <<= 1
			if x >= 1<<31 {
				x >>= 1
				r |= 1
			}
		}
		t[i] = uint16((r + 2) >> 2)
	}
	return t
}()

// log2Cost returns log2(x) in units of costOne, x >= 1.
func log2Cost(x uint32) int32 {
	h := bits.Len32(x) - 1
	f := uint32(uint64(x) << (31 - uint(h)) >> 23 & 255)
	return int32(h<<costShift) + int32(log2Frac[f])
}

// matchLen returns how many bytes at a and b are equal, a < b, up to limit (an index for b, <= len(src)).
func matchLen(src []byte, a, b, limit int) int {
	start := b
	src = src[:limit]
	for b+8 <= len(src) {
		if d := load64(src, a) ^ load64(src, b); d != 0 {
			return b - start + bits.TrailingZeros64(d)>>3
		}
		a += 8
		b += 8
	}
	for b < len(src) && src[a] == src[b] {
		a++
		b++
	}
	return b - start
}
