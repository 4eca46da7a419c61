package deflate

import "github.com/fledge-build/fledge/internal/entropy"

// optimizer finds the cheapest sequences under the statistics of a parse before.
type optimizer struct {
	lit    [256]int32 // prices in 1/256 bit
	length [maxMatch + 1]int32
	dist   [distSyms]int32
	cost   []int32 // by position in a piece: what the rest of the piece takes
	choice []match // by position in a piece: a length of 1 is a literal
}

// pieceSize is how much data is optimized at once, in bytes: what it takes must fit an int32.
const pieceSize = 64 << 10

func newOptimizer(chunk int) optimizer {
	n := min(chunk, pieceSize)
	return optimizer{cost: make([]int32, n+1), choice: make([]match, n)}
}

// setPrices takes the prices from the symbols of a block.
func (o *optimizer) setPrices(n *counts) {
	total := uint32(0)
	for _, k := range n.lit {
		total += k
	}
	for s := range o.lit {
		o.lit[s] = price(n.lit[s], total)
	}
	for l := range maxMatch - minMatch + 1 {
		o.length[minMatch+l] = price(n.lit[firstLen+int(lenSymbol[l])], total) + int32(lenExtra[l])<<costShift
	}
	total = 0
	for _, k := range n.dist {
		total += k
	}
	for s := range o.dist {
		o.dist[s] = price(n.dist[s], total) + int32(distExtra(uint32(s)))<<costShift
	}
}

// price is what a symbol takes that is n of total, in 1/256 bit.
func price(n, total uint32) int32 {
	p := entropy.Log2(2*total+2) - entropy.Log2(max(2*n, 1)) // what never occurs is half a time there
	return min(max(p, 1<<costShift), maxBits<<costShift)
}

// optimize replaces the sequences by the cheapest under the statistics of their blocks.
func (e *Encoder) optimize() {
	o := &e.optimal
	e.seqs = e.seqs[:0]
	lo, anchor := e.finder.start, e.finder.start
	for i := 0; i < len(e.split.parts); i = e.split.parts[i].next {
		p := &e.split.parts[i]
		o.setPrices(&p.counts)
		for end := e.finder.start + p.data; lo < end; {
			hi := min(lo+pieceSize, end)
			e.choose(lo, hi)
			for k := lo; k < hi; {
				c := o.choice[k-lo]
				if c.length > 1 {
					e.emit(k-anchor, int(c.length), int(c.dist)+1)
					anchor = k + int(c.length)
				}
				k += int(c.length)
			}
			lo = hi
		}
	}
	if e.finder.end > anchor {
		e.emit(e.finder.end-anchor, 0, 1)
	}
}

// choose sets the choices for the positions from lo to hi, the last first: what follows a choice is known then.
func (e *Encoder) choose(lo, hi int) {
	o, f, found, nice := &e.optimal, &e.finder, &e.found, e.params.nice
	var long match // the longest at the next position, when it is nice: as a rule it begins here, too
	cost := o.cost[:hi-lo+1]
	cost[hi-lo] = 0
	for i := hi - 1; i >= lo; i-- {
		rest := cost[i-lo:]
		best, choice := o.lit[f.buf[i]]+rest[1], match{length: 1}
		found.n = 0
		if from := i - int(long.dist) - 1; long.length > 0 && from >= 0 && f.buf[from] == f.buf[i] {
			found.add(min(int(long.length)+1, maxMatch), int(long.dist)+1)
		} else {
			if d := f.near3(i, window); d > 0 && i+minMatch <= hi {
				found.add(minMatch, d)
			}
			f.search(found, i, hi, minMatch, e.params.depth, nice)
		}
		from := minMatch
		long = match{}
		for _, m := range found.list[:found.n] {
			if int(m.length) >= nice {
				from, long = int(m.length), m
			}
			d := o.dist[distSymbol(uint32(m.dist)+1)]
			for l := from; l <= int(m.length); l++ {
				if v := d + o.length[l] + rest[l]; v < best {
					best, choice = v, match{uint16(l), m.dist}
				}
			}
			from = int(m.length) + 1
		}
		rest[0], o.choice[i-lo] = best, choice
	}
}
