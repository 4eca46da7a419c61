package zstdblock

import (
	"slices"

	"github.com/fledge-build/fledge/internal/lz77"
)

// node is the cheapest way found to write the input up to a position of the segment.
type node struct {
	cost  int32
	ll    uint32 // literals since the last match
	ml    uint32 // last match, 0 when the segment has none yet
	value uint32 // its offset as written
	reps  [3]uint32
}

const (
	segment  = 4096 // positions decided on at once
	infinite = 1 << 30
)

// optimalParser chooses the cheapest sequences by dynamic programming over all candidates.
type optimalParser struct {
	nice    int
	passes  int
	exhaust bool // price every length of a candidate
	scan    scanner
	seqs    []sequence
	nodes   []node
	path    []sequence
	prices  prices
	stats   stats
}

func newOptimalParser(s searchParams, maxBlock int) *optimalParser {
	return &optimalParser{
		nice: s.nice, passes: s.passes, exhaust: s.exhaust,
		scan:  newScanner(s, maxBlock),
		seqs:  make([]sequence, 0, min(maxBlock, maxZstdBlock)/minMatch+1),
		path:  make([]sequence, 0, segment),
		nodes: make([]node, segment+s.nice+2),
	}
}

func (p *optimalParser) begin(src []byte) { p.scan.begin(src) }

func (p *optimalParser) split(lo, hi int) int { return p.scan.split(lo, hi) }

func (p *optimalParser) parse(lo, hi int, reps [3]uint32) ([]sequence, [3]uint32) {
	p.stats = *p.scan.stats()
	var after [3]uint32
	for pass := 0; ; pass++ {
		p.prices.set(&p.stats)
		after = p.cheapest(lo, hi, reps)
		if pass+1 == p.passes {
			return p.seqs, after
		}
		p.count(lo, hi)
	}
}

// count sets the statistics to those of the last parse.
func (p *optimalParser) count(lo, hi int) {
	p.stats = stats{}
	for _, s := range p.seqs {
		for _, b := range p.scan.buf[lo : lo+int(s.ll)] {
			p.stats.lit[b]++
		}
		p.stats.addSequence(s.ll, s.ml, s.value)
		lo += int(s.ll + s.ml)
	}
	for _, b := range p.scan.buf[lo:hi] {
		p.stats.lit[b]++
	}
}

// cheapest fills seqs for buf[lo:hi].
func (p *optimalParser) cheapest(lo, hi int, reps [3]uint32) [3]uint32 {
	p.seqs = p.seqs[:0]
	pr := &p.prices
	nodes := p.nodes
	buf := p.scan.buf
	starts, list, first := p.scan.found.start, p.scan.found.list, p.scan.found.first
	start := lo
	nodes[0] = node{reps: reps}
	last := 0 // furthest node reached
	for i := lo; i < hi; i++ {
		cur := i - start
		n := &nodes[cur]
		if cur == last || cur >= segment {
			p.close(cur)
			n, start, cur, last = &nodes[0], i, 0, 0
		}
		// One more literal.
		lit := n.cost + pr.lit[buf[i]] + pr.literalStep(n.ll)
		next := &nodes[cur+1]
		if last == cur || lit < next.cost {
			next.cost, next.ll, next.ml, next.value = lit, n.ll+1, n.ml, n.value
			last = max(last, cur+1)
		}
		if cur > 0 {
			p.settle(n, cur)
		}
		base := n.cost + pr.llBy[0]
		reach, ml, value := p.tryRepeats(n, i, cur, hi, base, last)
		if ml > 0 {
			i = p.long(&start, i, ml, value) - 1
			last = 0
			continue
		}
		last = reach
		from := uint32(minMatch)
		for _, c := range list[starts[i-first]:starts[i-first+1]] {
			l := min(c.len, uint32(hi-i))
			if l < from {
				break
			}
			if int(l) >= p.nice {
				i = p.long(&start, i, l, c.off+3) - 1
				last = 0
				break
			}
			last = p.relax(cur, from, l, c.off+3, base+pr.of[ofCodeOf(c.off+3)], last)
			from = l + 1
		}
	}
	p.close(hi - start)
	return nodes[0].reps
}

// tryRepeats offers matches at the repeated offsets. It returns the furthest node reached, and a match that is long
// enough to be taken at once, if there is one.
func (p *optimalParser) tryRepeats(n *node, i, cur, hi int, base int32, last int) (reach int, ml, value uint32) {
	buf := p.scan.buf
	v := load32(buf, i)
	offs := n.reps
	if n.ll == 0 {
		offs = [3]uint32{n.reps[1], n.reps[2], n.reps[0] - 1}
	}
	for k, off := range offs {
		if uint(off-1) >= uint(i) || (load32(buf, i-int(off))^v)<<8 != 0 {
			continue
		}
		l := uint32(lz77.MatchLen(buf, i-int(off), i, hi))
		if int(l) >= p.nice {
			return last, l, uint32(k + 1)
		}
		if l >= minMatch {
			last = p.relax(cur, minMatch, l, uint32(k+1), base+p.prices.repeat[k], last)
		}
	}
	return last, 0, 0
}

// close writes down the way to node cur, which becomes the first of another segment.
func (p *optimalParser) close(cur int) {
	if cur == 0 {
		return
	}
	n := &p.nodes[cur]
	p.settle(n, cur)
	if n.ml > 0 {
		p.emit(cur)
	}
	p.nodes[0] = node{ll: n.ll, reps: n.reps}
}

// settle computes the repeated offsets of a node that no later step can change.
func (p *optimalParser) settle(n *node, cur int) {
	if n.ll > 0 {
		n.reps = p.nodes[cur-1].reps
		return
	}
	from := &p.nodes[cur-int(n.ml)]
	n.reps = pushed(from.reps, n.value, from.ll)
}

// pushed returns the repeated offsets after a match written as value after ll literals.
func pushed(reps [3]uint32, value, ll uint32) [3]uint32 {
	if value > 3 {
		return [3]uint32{value - 3, reps[0], reps[1]}
	}
	if ll == 0 {
		value++
	}
	switch value {
	case 1:
		return reps
	case 2:
		return [3]uint32{reps[1], reps[0], reps[2]}
	case 3:
		return [3]uint32{reps[2], reps[0], reps[1]}
	}
	return [3]uint32{reps[0] - 1, reps[0], reps[1]}
}

// relax offers matches of from to to bytes that cost base without their length.
func (p *optimalParser) relax(cur int, from, to, value uint32, base int32, last int) int {
	end := cur + int(to)
	for last < end {
		last++
		p.nodes[last].cost = infinite
	}
	pr := p.prices.mlBy[:to+1]
	nodes := p.nodes[cur : end+1]
	for l := to; l >= from; l-- {
		c := base + pr[l]
		n := &nodes[l]
		if c < n.cost {
			n.cost, n.ll, n.ml, n.value = c, 0, l, value
		} else if !p.exhaust {
			break
		}
	}
	return last
}

// emit appends the sequences on the cheapest way to node cur.
func (p *optimalParser) emit(cur int) {
	path := p.path[:0]
	for {
		n := &p.nodes[cur]
		if n.ml == 0 {
			break
		}
		cur -= int(n.ll + n.ml)
		path = append(path, sequence{p.nodes[cur].ll, n.ml, n.value})
	}
	slices.Reverse(path)
	p.seqs = append(p.seqs, path...)
	p.path = path
}

// long ends the segment at position i with a match and starts another behind it; it returns that position.
func (p *optimalParser) long(start *int, i int, ml, value uint32) int {
	n := p.nodes[i-*start]
	if n.ml > 0 {
		p.emit(i - *start)
	}
	p.seqs = append(p.seqs, sequence{n.ll, ml, value})
	p.nodes[0] = node{reps: pushed(n.reps, value, n.ll)}
	*start = i + int(ml)
	return *start
}
