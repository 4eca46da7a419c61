package deflate

import "github.com/fledge-build/fledge/internal/entropy"

// The alphabet of code lengths, RFC 1951, section 3.2.7.
const (
	lenRepeat    = 16 // the last length, 3 to 6 times
	lenZeros     = 17 // 3 to 10 zeros
	lenManyZeros = 18 // 11 to 138 zeros
	lenSymbols   = 19
	lenBits      = 7 // limit of their codes
)

var (
	lenExtraBits = [lenSymbols]uint8{lenRepeat: 2, lenZeros: 3, lenManyZeros: 7}
	lenOrder     = [lenSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// lenItem is a symbol of the alphabet of code lengths and its extra bits.
type lenItem struct{ symbol, extra uint8 }

// header describes the codes of a block.
type header struct {
	lits, dists, lens int // how many of each are described
	items             []lenItem
	length            [lenSymbols]uint8
	code              [lenSymbols]code
	size              int // bits, with the three that begin a block
}

// make describes c.
func (h *header) make(c *codes, tree *entropy.Builder) {
	h.lits, h.dists = litSymbols, distSyms
	for c.litLen[h.lits-1] == 0 {
		h.lits--
	}
	for h.dists > 1 && c.distLen[h.dists-1] == 0 {
		h.dists--
	}
	var all [litSymbols + distSyms]uint8
	n := copy(all[:], c.litLen[:h.lits])
	n += copy(all[n:], c.distLen[:h.dists])
	h.items = h.items[:0]
	for i := 0; i < n; {
		run := 1
		for i+run < n && all[i+run] == all[i] {
			run++
		}
		h.run(all[i], run)
		i += run
	}
	var counts [lenSymbols]uint32
	for _, it := range h.items {
		counts[it.symbol]++
	}
	twoSymbols(counts[:])
	tree.Lengths(counts[:], lenBits, h.length[:])
	canonical(h.length[:], h.code[:])
	h.lens = lenSymbols
	for h.lens > 4 && h.length[lenOrder[h.lens-1]] == 0 {
		h.lens--
	}
	h.size = 3 + 5 + 5 + 4 + 3*h.lens
	for _, it := range h.items {
		h.size += int(h.length[it.symbol] + lenExtraBits[it.symbol])
	}
}

// run adds the same length n times.
func (h *header) run(length uint8, n int) {
	if length == 0 {
		for n >= 11 {
			k := min(n, 138)
			h.items = append(h.items, lenItem{lenManyZeros, uint8(k - 11)})
			n -= k
		}
		if n >= 3 {
			h.items = append(h.items, lenItem{lenZeros, uint8(n - 3)})
			n = 0
		}
	} else if n >= 4 {
		h.items = append(h.items, lenItem{symbol: length})
		for n--; n >= 3; {
			k := min(n, 6)
			if n-k == 1 || n-k == 2 { // 7 and 8 are two runs, too
				k = max(3, n-3)
			}
			h.items = append(h.items, lenItem{lenRepeat, uint8(k - 3)})
			n -= k
		}
	}
	for ; n > 0; n-- {
		h.items = append(h.items, lenItem{symbol: length})
	}
}

// write writes the description; the bits that begin the block are written. There must be room.
func (h *header) write(w *bitWriter) {
	w.Add(uint64(h.lits-firstLen), 5)
	w.Add(uint64(h.dists-1), 5)
	w.Add(uint64(h.lens-4), 4)
	w.Flush()
	for i := range h.lens {
		w.Add(uint64(h.length[lenOrder[i]]), 3)
		w.Flush()
	}
	for _, it := range h.items {
		c := h.code[it.symbol]
		w.Add(c.bits(), c.len())
		w.Add(uint64(it.extra), uint(lenExtraBits[it.symbol]))
		w.Flush()
	}
}
