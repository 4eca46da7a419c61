package zstdblock

import (
	"encoding/binary"

	"github.com/fledge-build/fledge/internal/bitstream"
	"github.com/fledge-build/fledge/internal/entropy"
)

// bitWriter writes the backward bit streams of RFC 8878 section 4.1: the reader starts at the end.
type bitWriter struct{ bitstream.Writer }

// addLow appends the low n bits of v, n <= 32.
func (w *bitWriter) addLow(v uint64, n uint) { w.Add(v&(1<<(n&63)-1), n) }

// close writes the end mark and the last partial byte.
func (w *bitWriter) close() {
	w.Add(1, 1)
	w.Flush()
	if w.N > 0 {
		w.Pos++
	}
	w.Acc, w.N = 0, 0
}

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// costOne is one bit in the fixed point in which prices are counted.
const (
	costShift = entropy.Shift
	costOne   = entropy.One
)
