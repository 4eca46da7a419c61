// Package bitstream writes streams of bits, of which the first is the lowest of a byte: those of DEFLATE and of Zstandard.
package bitstream

import "encoding/binary"

// Writer writes to Buf, which its user sizes: at least eight bytes beyond the last one written must exist.
type Writer struct {
	Acc uint64 // bits that are not in Buf yet
	N   uint   // how many
	Buf []byte
	Pos int // bytes written
}

// Add appends the low n bits of v, of which no higher one may be set. At most 63 bits may gather between flushes, seven
// of them left over.
func (w *Writer) Add(v uint64, n uint) {
	w.Acc |= v << (w.N & 63)
	w.N += n
}

// Flush moves whole bytes out.
func (w *Writer) Flush() {
	binary.LittleEndian.PutUint64(w.Buf[w.Pos:], w.Acc)
	w.Pos += int(w.N >> 3)
	w.Acc >>= w.N & 56
	w.N &= 7
}
