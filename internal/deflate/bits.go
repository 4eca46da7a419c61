package deflate

import (
	"encoding/binary"
)

// bitWriter writes the bit stream of RFC 1951, section 3.1.1: fields go in from the low bit of a byte up.
type bitWriter struct {
	acc uint64
	n   uint
	buf []byte
	pos int
}

// reset begins to write behind b.
func (w *bitWriter) reset(b []byte) {
	w.acc, w.n, w.buf, w.pos = 0, 0, b[:cap(b)], len(b)
}

// take returns what is written; the stream must be aligned.
func (w *bitWriter) take() []byte {
	b := w.buf[:w.pos]
	w.buf = nil
	return b
}

// room makes sure that n bytes and a word fit behind those written.
func (w *bitWriter) room(n int) {
	if need := w.pos + n + 8; need > len(w.buf) {
		w.buf = append(w.buf, make([]byte, max(need-len(w.buf), len(w.buf)))...)
	}
}

// add appends the low n bits of v, of which no higher one may be set. At most 64 bits may gather between flushes, seven
// of them left over.
func (w *bitWriter) add(v uint64, n uint) {
	w.acc |= v << (w.n & 63)
	w.n += n
}

// flush moves whole bytes out.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.buf[w.pos:], w.acc)
	w.pos += int(w.n >> 3)
	w.acc >>= w.n & 56
	w.n &= 7
}

// align fills the last byte with zero bits.
func (w *bitWriter) align() {
	w.n = (w.n + 7) &^ 7
	w.flush()
}

// bytes appends b; the stream must be aligned and have room for b.
func (w *bitWriter) bytes(b []byte) {
	w.pos += copy(w.buf[w.pos:], b)
}

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
