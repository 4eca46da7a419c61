package zstdblock

import (
	"math/bits"

	"github.com/fledge-build/fledge/internal/bitstream"
)

// sequence is one step of a block: ll literals, then ml bytes copied from the offset that value stands for: 1 to 3 are
// repeated offsets, others the offset plus 3 (RFC 8878 section 3.1.1.5).
type sequence struct{ ll, ml, value uint32 }

const (
	minMatch    = 3
	llCodes     = 36
	mlCodes     = 53
	ofCodes     = 32
	tableLL     = 0
	tableOF     = 1
	tableML     = 2
	modeDefault = 0
	modeRLE     = 1
	modeFSE     = 2
	modeRepeat  = 3
)

var (
	llBits = [llCodes]uint8{16: 1, 17: 1, 18: 1, 19: 1, 20: 2, 21: 2, 22: 3, 23: 3, 24: 4, 25: 6, 26: 7, 27: 8,
		28: 9, 29: 10, 30: 11, 31: 12, 32: 13, 33: 14, 34: 15, 35: 16}
	mlBits = [mlCodes]uint8{32: 1, 33: 1, 34: 1, 35: 1, 36: 2, 37: 2, 38: 3, 39: 3, 40: 4, 41: 4, 42: 5, 43: 7,
		44: 8, 45: 9, 46: 10, 47: 11, 48: 12, 49: 13, 50: 14, 51: 15, 52: 16}
	llBase = bases(llBits[:], 0)
	mlBase = bases(mlBits[:], minMatch)
	llCode = codesBelow(llBase, 64)
	mlCode = codesBelow(mlBase, 128+minMatch)

	// predefined holds the distributions of RFC 8878 section 3.1.1.3.2.2.
	predefined = [3]*fseTable{
		tableLL: fixedTable(6, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
			1, 1, -1, -1, -1, -1),
		tableOF: fixedTable(5, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1),
		tableML: fixedTable(6, 1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
			1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1),
	}
	maxLogs = [3]uint{tableLL: 9, tableOF: 8, tableML: 9}
)

// bases returns the smallest value of each code.
func bases(extra []uint8, first uint32) []uint32 {
	b := make([]uint32, len(extra)+1)
	for i, n := range extra {
		b[i] = first
		first += 1 << n
	}
	b[len(extra)] = first
	return b
}

// codesBelow maps each value below limit to its code.
func codesBelow(base []uint32, limit uint32) []uint8 {
	t := make([]uint8, limit)
	for c := 0; c+1 < len(base); c++ {
		for v := base[c]; v < base[c+1] && v < limit; v++ {
			t[v] = uint8(c)
		}
	}
	return t
}

func fixedTable(log uint, norm ...int16) *fseTable {
	t := &fseTable{log: log, n: len(norm)}
	copy(t.norm[:], norm)
	t.build()
	return t
}

func llCodeOf(ll uint32) uint8 {
	if ll < 64 {
		return llCode[ll]
	}
	return uint8(bits.Len32(ll)) + 18
}

func mlCodeOf(ml uint32) uint8 {
	if ml < 128+minMatch {
		return mlCode[ml]
	}
	return uint8(bits.Len32(ml-minMatch)) + 35
}

func ofCodeOf(value uint32) uint8 { return uint8(bits.Len32(value) - 1) }

// sequencesCoder writes sequences sections and remembers the tables of the last one in the frame.
type sequencesCoder struct {
	tables [3][2]fseTable
	cur    [3]int  // which of tables is the one a later section may repeat
	valid  [3]bool // tables[cur] is known to the decoder
	mode   [3]int  // of the section written last
	codes  [3][]uint8
	counts [3][mlCodes]uint32
}

func (c *sequencesCoder) init(maxSequences int) {
	for i := range c.codes {
		c.codes[i] = make([]uint8, maxSequences)
	}
}

func (c *sequencesCoder) reset() { c.valid = [3]bool{} }

// commit makes the tables of the section written last the ones that later sections may repeat.
func (c *sequencesCoder) commit() {
	for k, mode := range c.mode {
		switch mode {
		case modeFSE:
			c.cur[k] ^= 1
			c.valid[k] = true
		case modeRLE, modeDefault:
			c.valid[k] = false
		}
	}
}

// encode writes the sequences section to buf, which must have room for eight bytes a sequence and 300 more, and
// returns its size.
func (c *sequencesCoder) encode(buf []byte, seqs []sequence) int {
	c.mode = [3]int{modeRepeat, modeRepeat, modeRepeat}
	n := len(seqs)
	pos := 0
	switch {
	case n < 128:
		buf[0] = byte(n)
		pos = 1
	case n < 0x7f00:
		buf[0], buf[1] = byte(n>>8+128), byte(n)
		pos = 2
	default:
		buf[0], buf[1], buf[2] = 255, byte(n-0x7f00), byte((n-0x7f00)>>8)
		pos = 3
	}
	if n == 0 {
		return pos
	}
	c.setCodes(seqs)
	modes := &buf[pos]
	pos++
	var t [3]*fseTable
	for k := range t {
		t[k], pos = c.choose(k, buf, pos, n)
	}
	*modes = byte(c.mode[tableLL]<<6 | c.mode[tableOF]<<4 | c.mode[tableML]<<2)
	w := bitWriter{bitstream.Writer{Buf: buf, Pos: pos}}
	c.stream(&w, seqs, t)
	return w.Pos
}

func (c *sequencesCoder) setCodes(seqs []sequence) {
	c.counts = [3][mlCodes]uint32{}
	ll, of, ml := c.codes[tableLL][:len(seqs)], c.codes[tableOF][:len(seqs)], c.codes[tableML][:len(seqs)]
	for i := range seqs {
		s := &seqs[i]
		l, o, m := llCodeOf(s.ll), ofCodeOf(s.value), mlCodeOf(s.ml)
		ll[i], of[i], ml[i] = l, o, m
		c.counts[tableLL][l]++
		c.counts[tableOF][o]++
		c.counts[tableML][m]++
	}
}

// choose picks the cheapest mode of table k, writes its description at pos and returns the table and the new pos.
func (c *sequencesCoder) choose(k int, buf []byte, pos, n int) (*fseTable, int) {
	counts := c.counts[k][:]
	distinct, top := 0, 0
	for s, v := range counts {
		if v > 0 {
			distinct++
			top = s
		}
	}
	counts = counts[:top+1]
	fresh, prev := &c.tables[k][c.cur[k]^1], &c.tables[k][c.cur[k]]
	best := predefined[k]
	cost := best.cost(counts)
	c.mode[k] = modeDefault
	if cost < 0 {
		cost = 1 << 62
	}
	if c.valid[k] {
		if v := prev.cost(counts); v >= 0 && v < cost {
			best, cost = prev, v
			c.mode[k] = modeRepeat
		}
	}
	if distinct == 1 {
		if cost > 8<<costShift {
			fresh.buildRLE(uint8(top))
			buf[pos] = byte(top)
			c.mode[k] = modeRLE
			return fresh, pos + 1
		}
		return best, pos
	}
	fresh.normalize(counts, uint32(n), fseLog(uint32(n), distinct, maxLogs[k]))
	if v := fresh.cost(counts); v < cost {
		end := len(fresh.appendNorm(buf[:pos]))
		if v+int64(end-pos)<<(costShift+3) < cost {
			fresh.build()
			c.mode[k] = modeFSE
			return fresh, end
		}
	}
	return best, pos
}

// stream writes the interleaved bit stream of RFC 8878 section 3.1.1.3.2.1.
func (c *sequencesCoder) stream(w *bitWriter, seqs []sequence, t [3]*fseTable) {
	llc, ofc, mlc := c.codes[tableLL][:len(seqs)], c.codes[tableOF][:len(seqs)], c.codes[tableML][:len(seqs)]
	tl, to, tm := t[tableLL], t[tableOF], t[tableML]
	i := len(seqs) - 1
	var sl, so, sm uint32
	if !tl.rle {
		sl = tl.first(llc[i])
	}
	if !to.rle {
		so = to.first(ofc[i])
	}
	if !tm.rle {
		sm = tm.first(mlc[i])
	}
	for {
		s := &seqs[i]
		l, o, m := llc[i], ofc[i], mlc[i]
		w.addLow(uint64(s.ll-llBase[l]), uint(llBits[l]))
		w.addLow(uint64(s.ml-mlBase[m]), uint(mlBits[m]))
		w.Flush()
		w.addLow(uint64(s.value), uint(o))
		if i--; i < 0 {
			break
		}
		so = to.encode(w, so, ofc[i])
		sm = tm.encode(w, sm, mlc[i])
		sl = tl.encode(w, sl, llc[i])
		w.Flush()
	}
	w.Flush()
	w.addLow(uint64(sm), tm.log)
	w.addLow(uint64(so), to.log)
	w.addLow(uint64(sl), tl.log)
	w.close()
}
