package zstdblock

import "math/bits"

const (
	chunkSize = 4096
	maxChunks = maxZstdBlock/chunkSize + 1
)

// firstParse is a quick parse that tells where a zstd block should be divided, and the first statistics of its parts.
type firstParse struct {
	chunk    [maxChunks]stats
	chunkEnd [maxChunks]int
	cost     [maxChunks]int64
	merged   [maxChunks]int64 // cost of a chunk joined with the next
	ends     []int
	stats    []stats
	endBuf   [maxChunks]int
	sum      stats
}

// run parses buf[lo:hi] and fills ends and stats.
func (g *firstParse) run(buf []byte, f *prefixFinder, lo, hi int) {
	n := g.parse(buf, f, lo, hi)
	n = g.merge(n)
	g.stats, g.ends = g.chunk[:n], g.endBuf[:n]
	copy(g.ends, g.chunkEnd[:n])
}

// parse counts greedy sequences into chunks and returns how many there are.
func (g *firstParse) parse(buf []byte, f *prefixFinder, lo, hi int) int {
	n := 0
	g.chunk[0] = stats{}
	rep := 0
	anchor, chunkStart := lo, lo
	for i := lo; i < hi; {
		ml, off, value := 0, 0, uint32(0)
		if rep > 0 && i > anchor && i-rep >= 0 && load32(buf, i) == load32(buf, i-rep) {
			ml, off, value = matchLen(buf, i-rep, i, hi), rep, 1
		} else {
			score := 0
			for _, c := range f.at(i) {
				if s := int(c.len)*6 - bits.Len32(c.off) - 6; s > score {
					score, ml, off, value = s, int(c.len), int(c.off), c.off+3
				}
			}
			if ml > 0 && ml < 32 && i+1 < hi {
				for _, c := range f.at(i + 1) {
					if int(c.len)*6-bits.Len32(c.off)-12 > score {
						ml = 0
						break
					}
				}
			}
		}
		s := &g.chunk[n]
		ml = min(ml, hi-i)
		if ml < minMatch {
			s.lit[buf[i]]++
			i++
		} else {
			s.addSequence(uint32(i-anchor), uint32(ml), value)
			i += ml
			anchor, rep = i, off
		}
		if i-chunkStart >= chunkSize && hi-i >= chunkSize && n+1 < maxChunks {
			g.chunkEnd[n] = i
			n++
			g.chunk[n] = stats{}
			chunkStart = i
		}
	}
	g.chunkEnd[n] = hi
	return n + 1
}

// merge joins neighbours as long as that makes the whole smaller, the best pair first; it returns how many are left.
func (g *firstParse) merge(n int) int {
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
	return n
}
