package zstdblock

import (
	"math/bits"

	"github.com/fledge-build/fledge/internal/entropy"
)

const (
	maxFSESymbols = 53
	maxFSELog     = 9
)

type fseSymbol struct {
	deltaBits uint32 // (bits << 16) - first state that costs one bit more
	deltaFind int32  // from the shifted state to the index in next
}

// fseTable is the encoding side of one FSE distribution (RFC 8878 section 4.1).
type fseTable struct {
	log  uint
	n    int // symbols with a norm entry
	rle  bool
	norm [maxFSESymbols]int16
	sym  [maxFSESymbols]fseSymbol
	next [1 << maxFSELog]uint16
}

// normalize turns counts into probabilities that sum to 1<<log; every symbol present gets at least one cell.
func (t *fseTable) normalize(counts []uint32, total uint32, log uint) {
	size := int32(1) << log
	t.log, t.n, t.rle = log, 0, false
	left := size
	for i, c := range counts {
		t.norm[i] = 0
		if c == 0 {
			continue
		}
		t.n = i + 1
		p := int32(uint64(c) << log / uint64(total))
		if p == 0 {
			t.norm[i] = -1
			left--
			continue
		}
		t.norm[i] = int16(p)
		left -= p
	}
	// Cells left over, or taken too often by rare symbols, go where a cell saves most, or costs least.
	for ; left > 0; left-- {
		best, bc, bn := -1, uint64(0), uint64(1)
		for i, c := range counts[:t.n] {
			if c == 0 {
				continue
			}
			n := uint64(2*abs16(t.norm[i]) + 1)
			if best < 0 || uint64(c)*bn > bc*n {
				best, bc, bn = i, uint64(c), n
			}
		}
		t.norm[best] = abs16(t.norm[best]) + 1
	}
	for ; left < 0; left++ {
		best, bc, bn := -1, uint64(0), uint64(1)
		for i, c := range counts[:t.n] {
			if t.norm[i] <= 1 {
				continue
			}
			n := uint64(2*t.norm[i] - 1)
			if best < 0 || uint64(c)*bn < bc*n {
				best, bc, bn = i, uint64(c), n
			}
		}
		t.norm[best]--
	}
}

func abs16(v int16) int16 {
	if v < 0 {
		return -v
	}
	return v
}

// build makes the encoding tables from norm.
func (t *fseTable) build() {
	size := 1 << t.log
	var spread [1 << maxFSELog]uint8
	var start [maxFSESymbols + 1]uint16
	high := size
	total := uint16(0)
	for s := 0; s < t.n; s++ {
		start[s] = total
		switch n := t.norm[s]; {
		case n == 0:
			t.sym[s] = fseSymbol{deltaBits: uint32(t.log+1)<<16 - uint32(size)}
		case n == 1 || n == -1:
			if n < 0 {
				high--
				spread[high] = uint8(s)
			}
			t.sym[s] = fseSymbol{deltaBits: uint32(t.log)<<16 - uint32(size), deltaFind: int32(total) - 1}
			total++
		default:
			b := uint32(t.log) - uint32(bits.Len16(uint16(n-1))-1)
			t.sym[s] = fseSymbol{deltaBits: b<<16 - uint32(n)<<b, deltaFind: int32(total) - int32(n)}
			total += uint16(n)
		}
	}
	step := size>>1 + size>>3 + 3
	p := 0
	for s := 0; s < t.n; s++ {
		for i := int16(0); i < t.norm[s]; i++ {
			spread[p] = uint8(s)
			p = (p + step) & (size - 1)
			for p >= high {
				p = (p + step) & (size - 1)
			}
		}
	}
	for i := 0; i < size; i++ {
		s := spread[i]
		t.next[start[s]] = uint16(size + i)
		start[s]++
	}
}

// buildRLE makes the table of the RLE mode: one symbol, no bits.
func (t *fseTable) buildRLE(s uint8) {
	t.log, t.rle, t.n = 0, true, int(s)+1
	for i := range t.norm {
		t.norm[i] = 0
	}
	t.norm[s] = 1
	t.sym[s] = fseSymbol{}
	t.next[0] = 0
}

// first returns the state in which symbol s is the last one of the stream.
func (t *fseTable) first(s uint8) uint32 {
	y := t.sym[s]
	n := (y.deltaBits + 1<<15) >> 16
	v := n<<16 - y.deltaBits
	return uint32(t.next[int32(v>>n)+y.deltaFind])
}

// encode writes the bits that lead from the state of the following symbol to one of s.
func (t *fseTable) encode(w *bitWriter, state uint32, s uint8) uint32 {
	y := t.sym[s]
	n := (state + y.deltaBits) >> 16
	w.addLow(uint64(state), uint(n))
	return uint32(t.next[(int32(state>>n)+y.deltaFind)&(1<<maxFSELog-1)])
}

// cost returns the size of counts in this table in units of costOne, or -1 when a symbol has no cell.
func (t *fseTable) cost(counts []uint32) int64 {
	sum := int64(0)
	for i, c := range counts {
		if c == 0 {
			continue
		}
		if i >= t.n || t.norm[i] == 0 {
			return -1
		}
		sum += int64(c) * (int64(t.log)<<costShift - int64(entropy.Log2(uint32(abs16(t.norm[i])))))
	}
	return sum
}

// appendNorm appends the table description of RFC 8878 section 4.1.1.
func (t *fseTable) appendNorm(dst []byte) []byte {
	acc, n := uint64(t.log-5), uint(4)
	left := int32(1)<<t.log + 1 // cells not yet described, plus one
	for s := 0; s < t.n && left > 1; s++ {
		p := int32(t.norm[s])
		width := uint(bits.Len32(uint32(left)))
		v := uint32(p + 1)
		// Values below short are one bit narrower: left+1 values need not fill the width.
		short := uint32(1)<<width - 1 - uint32(left)
		half := uint32(1) << (width - 1)
		switch {
		case v < short:
			acc |= uint64(v) << n
			n += width - 1
		case v < half:
			acc |= uint64(v) << n
			n += width
		default:
			acc |= uint64(v+short) << n
			n += width
		}
		left -= int32(abs16(int16(p)))
		if p == 0 {
			run := 0
			for s+1 < t.n && t.norm[s+1] == 0 {
				run++
				s++
			}
			for ; run >= 3; run -= 3 {
				acc |= 3 << n
				n += 2
				for ; n >= 8; n -= 8 {
					dst = append(dst, byte(acc))
					acc >>= 8
				}
			}
			acc |= uint64(run) << n
			n += 2
		}
		for ; n >= 8; n -= 8 {
			dst = append(dst, byte(acc))
			acc >>= 8
		}
	}
	if n > 0 {
		dst = append(dst, byte(acc))
	}
	return dst
}

// fseLog picks the accuracy for total symbols of which n are distinct.
func fseLog(total uint32, n int, max uint) uint {
	log := max
	if b := uint(bits.Len32(total)); b < log+2 {
		log = b
		if log > 2 {
			log -= 2
		}
	}
	if need := uint(bits.Len32(uint32(n))) + 1; log < need {
		log = need
	}
	if log < 5 {
		log = 5
	}
	if log > max {
		log = max
	}
	return log
}
