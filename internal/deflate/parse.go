package deflate

import "math/bits"

// sequence is literals and a match behind them; a length of 0 is none.
type sequence struct {
	lits   uint32
	length uint16
	dist   uint16 // less 1
}

// maxRun bounds the literals of a sequence, so that blocks may end among them.
const maxRun = 1024

func (e *Encoder) emit(lits, length, dist int) {
	for ; lits > maxRun; lits -= maxRun {
		e.seqs = append(e.seqs, sequence{lits: maxRun})
	}
	e.seqs = append(e.seqs, sequence{uint32(lits), uint16(length), uint16(dist - 1)})
}

// parse makes the sequences of the data: the best match at a position, unless one that starts a little later is better.
func (e *Encoder) parse() {
	f, p := &e.finder, &e.params
	e.seqs = e.seqs[:0]
	anchor := f.start
	for i := f.start; i+minMatch <= f.end; {
		ml, off := f.search(i, minMatch, p.depth, p.nice)
		if ml == 0 {
			off = int(f.near[i])
			if uint(off-1) >= uint(p.near) || (load32(f.buf, i-off)^load32(f.buf, i))<<8 != 0 {
				i++
				continue
			}
			ml = minMatch
		}
		depth := p.depth / 2
		for k := 1; k <= p.ahead && ml < p.nice && i+k < f.end; k++ {
			if ml >= p.good {
				depth = p.depth / 4
			}
			m, o := f.search(i+k, max(ml-1, minMatch), depth>>(k-1), p.nice)
			// A byte of match saves some four bits more than a bit of distance costs.
			if m > 0 && 4*(m-ml)+bits.Len(uint(off))-bits.Len(uint(o)) > 4*k-2 {
				i, ml, off, k = i+k, m, o, 0
			}
		}
		e.emit(i-anchor, ml, off)
		i += ml
		anchor = i
	}
	if f.end > anchor {
		e.emit(f.end-anchor, 0, 1)
	}
}
