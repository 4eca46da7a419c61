package deflate

import (
	"encoding/binary"

	"github.com/fledge-build/fledge/internal/bitstream"
)

// bitWriter writes the bit stream of RFC 1951, section 3.1.1, to a buffer that grows.
type bitWriter struct{ bitstream.Writer }

// reset begins to write behind b.
func (w *bitWriter) reset(b []byte) {
	w.Writer = bitstream.Writer{Buf: b[:cap(b)], Pos: len(b)}
}

// take returns what is written; the stream must be aligned.
func (w *bitWriter) take() []byte {
	b := w.Buf[:w.Pos]
	w.Buf = nil
	return b
}

// room makes sure that n bytes and a word fit behind those written.
func (w *bitWriter) room(n int) {
	if need := w.Pos + n + 8; need > len(w.Buf) {
		w.Buf = append(w.Buf, make([]byte, max(need-len(w.Buf), len(w.Buf)))...)
	}
}

// align fills the last byte with zero bits.
func (w *bitWriter) align() {
	w.N = (w.N + 7) &^ 7
	w.Flush()
}

// bytes appends b; the stream must be aligned and have room for b.
func (w *bitWriter) bytes(b []byte) {
	w.Pos += copy(w.Buf[w.Pos:], b)
}

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
