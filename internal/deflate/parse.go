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
		ml, dist := 0, 0
		if f.link[i] > 0 {
			ml, dist = e.longest(i, minMatch, p.depth)
		}
		if ml == 0 {
			if dist = f.near3(i, p.near); dist == 0 {
				i++
				continue
			}
			ml = minMatch
		}
		for k := 1; k <= p.ahead && ml < p.nice; k++ {
			depth := p.depth >> k
			if ml >= p.good {
				depth /= 2
			}
			m, d := e.longest(i+k, max(ml-1, minMatch), depth)
			// A byte of match saves some four bits more than a bit of distance costs.
			if m > 0 && 4*(m-ml)+bits.Len(uint(dist))-bits.Len(uint(d)) > 4*k-2 {
				i, ml, dist, k = i+k, m, d, 0
			}
		}
		e.emit(i-anchor, ml, dist)
		i += ml
		anchor = i
	}
	if f.end > anchor {
		e.emit(f.end-anchor, 0, 1)
	}
}

// longest returns the longest match at i, 0 when none is longer than best.
func (e *Encoder) longest(i, best, depth int) (length, dist int) {
	e.found.n = 0
	e.finder.search(&e.found, i, e.finder.end, best, depth, e.params.nice)
	if e.found.n == 0 {
		return 0, 0
	}
	m := e.found.list[e.found.n-1]
	return int(m.length), int(m.dist) + 1
}
