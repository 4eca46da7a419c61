package zstdblock

import (
	"math/bits"

	"github.com/fledge-build/fledge/internal/lz77"
)

const (
	chunkSize = 4096
	maxChunks = maxZstdBlock/chunkSize + 1
)

// scanner prepares the optimal parse: it finds candidates for a whole zstd block, chooses among them quickly,
// and decides from that choice where to divide the block and with which statistics to start.
type scanner struct {
	buf      []byte // the frame's content and padding; of a stream a part of it
	finder   *prefixFinder
	near     distances // of the zstd block at hand, as found
	found    *found
	chunk    [maxChunks]stats
	chunkEnd [maxChunks]int // where it ends in buf
	cost     [maxChunks]int64
	merged   [maxChunks]int64 // cost of a chunk joined with the next
	chunks   int
	next     int // chunk that comes next
	sum      stats
}

func newScanner(s searchParams, maxBlock int) scanner {
	return scanner{
		buf:    make([]byte, 0, maxBlock+padding),
		finder: newPrefixFinder(s, maxBlock),
	}
}

// ownSearch makes room for the results of the finder, for a scanner that is to search by itself.
func (g *scanner) ownSearch(maxBlock int) {
	n := min(maxBlock, maxZstdBlock)
	g.near, g.found = g.finder.newDistances(n), g.finder.newFound(n, perPosition)
}

func (g *scanner) begin(src []byte) {
	var zero [padding]byte
	g.buf = append(append(g.buf[:0], src...), zero[:]...)
	g.finder.begin(len(src))
	g.chunks, g.next = 0, 0
}

// split returns the end of the next part of buf[lo:hi], where lo is that of the last one.
func (g *scanner) split(lo, hi int) int {
	if g.next == g.chunks {
		for k := range g.near {
			g.finder.look(g.near, k, g.buf, lo, hi)
		}
		g.finder.collect(g.found, g.near, g.buf, lo, hi)
		g.divide(lo, hi)
	}
	g.next++
	return g.chunkEnd[g.next-1]
}

// divide chooses among the candidates found for buf[lo:hi] where to divide it.
func (g *scanner) divide(lo, hi int) {
	g.merge(g.choose(lo, hi))
	g.next = 0
}

// stats returns the statistics of the part that split returned last.
func (g *scanner) stats() *stats { return &g.chunk[g.next-1] }

// choose takes the best candidate of each position, unless the next position has a better one, counts the result in
// chunks and returns how many there are.
func (g *scanner) choose(lo, hi int) int {
	n := 0
	g.chunk[0] = stats{}
	buf := g.buf
	rep := [2]int{}
	anchor, chunkStart := lo, lo
	best := g.best(lo, hi, rep)
	for i := lo; i < hi; {
		s := &g.chunk[n]
		taken := best
		if taken.ml > 0 && i+1 < hi && taken.ml < 64 {
			if best = g.best(i+1, hi, rep); best.score > taken.score+3 {
				taken.ml = 0
			}
		}
		if taken.ml == 0 {
			s.lit[buf[i]]++
			i++
			if best.at != i {
				best = g.best(i, hi, rep)
			}
		} else {
			value := uint32(taken.off) + 3
			switch {
			case taken.off == rep[0] && i > anchor:
				value = 1
			case taken.off == rep[1]:
				value = 2
			}
			s.addSequence(uint32(i-anchor), uint32(taken.ml), value)
			i += taken.ml
			anchor = i
			if taken.off != rep[0] {
				rep = [2]int{taken.off, rep[0]}
			}
			best = g.best(i, hi, rep)
		}
		if i == anchor && i-chunkStart >= chunkSize && hi-i >= chunkSize && n+1 < maxChunks {
			g.chunkEnd[n] = i
			n++
			g.chunk[n] = stats{}
			chunkStart = i
		}
	}
	g.chunkEnd[n] = hi
	return n + 1
}

type pick struct{ at, ml, off, score int }

// best returns the most promising match at i, by how many bits it may save.
func (g *scanner) best(i, hi int, rep [2]int) pick {
	b := pick{at: i}
	if i >= hi {
		return b
	}
	v := load32(g.buf, i)
	for _, r := range rep {
		if uint(r-1) < uint(i) && load32(g.buf, i-r) == v {
			if ml := lz77.MatchLen(g.buf, i-r, i, hi); ml >= minMatch && ml*7-8 > b.score {
				b.ml, b.off, b.score = ml, r, ml*7-8
			}
		}
	}
	for _, c := range g.found.at(i) {
		if s := int(c.len)*7 - bits.Len32(c.off) - 11; s > b.score {
			b.ml, b.off, b.score = int(c.len), int(c.off), s
		}
	}
	return b
}

// merge joins neighbours as long as that makes the whole smaller, the best pair first.
func (g *scanner) merge(n int) {
	joined := func(i int) int64 {
		g.sum = g.chunk[i]
		g.sum.add(&g.chunk[i+1])
		return g.sum.size()
	}
	for i := range n {
		g.cost[i] = g.chunk[i].size()
		if i+1 < n {
			g.merged[i] = joined(i)
		}
	}
	for n > 1 {
		best, gain := 0, int64(-1)
		for i := 0; i+1 < n; i++ {
			if v := g.cost[i] + g.cost[i+1] - g.merged[i]; v > gain {
				best, gain = i, v
			}
		}
		if gain < 0 {
			break
		}
		g.chunk[best].add(&g.chunk[best+1])
		g.cost[best] = g.merged[best]
		g.chunkEnd[best] = g.chunkEnd[best+1]
		copy(g.chunk[best+1:n-1], g.chunk[best+2:n])
		copy(g.cost[best+1:n-1], g.cost[best+2:n])
		copy(g.merged[best+1:n-1], g.merged[best+2:n])
		copy(g.chunkEnd[best+1:n-1], g.chunkEnd[best+2:n])
		n--
		if best > 0 {
			g.merged[best-1] = joined(best - 1)
		}
		if best+1 < n {
			g.merged[best] = joined(best)
		}
	}
	g.chunks = n
}
