package deflate

import "github.com/fledge-build/fledge/internal/entropy"

// splitter divides sequences into blocks.
type splitter struct {
	parts  []part
	joined []int64 // cost of a part joined with the next
}

// part is a run of sequences with statistics of its own.
type part struct {
	counts
	seqs, data int // ends in the sequences and in the data
	cost       int64
	next, prev int
}

// partSymbols is how many symbols make a part, before any are joined.
const partSymbols = 1024

// divide makes the parts of data. The first is parts[0], its next is the second, and that of the last is len(parts).
func (p *splitter) divide(data []byte, seqs []sequence) {
	p.count(data, seqs)
	p.merge()
}

// count makes the smallest parts.
func (p *splitter) count(data []byte, seqs []sequence) {
	p.parts = p.parts[:0]
	pos, symbols := 0, partSymbols
	var c *part
	for i, s := range seqs {
		if symbols >= partSymbols {
			p.parts = append(p.parts, part{})
			c = &p.parts[len(p.parts)-1]
			symbols = 0
		}
		for _, l := range data[pos : pos+int(s.lits)] {
			c.lit[l]++
		}
		pos += int(s.lits)
		symbols += int(s.lits)
		if s.length > 0 {
			c.lit[firstLen+int(lenSymbol[s.length-minMatch])]++
			c.dist[distSymbol(uint32(s.dist)+1)]++
			pos += int(s.length)
			symbols++
		}
		c.seqs, c.data = i+1, pos
	}
}

func (p *splitter) join(i int) int64 {
	return joinedCost(&p.parts[i].counts, &p.parts[p.parts[i].next].counts)
}

// merge joins neighbours as long as that makes the whole smaller, the best pair first.
func (p *splitter) merge() {
	n := len(p.parts)
	p.joined = append(p.joined[:0], make([]int64, n)...)
	for i := range p.parts {
		p.parts[i].cost = joinedCost(&p.parts[i].counts, &none)
		p.parts[i].next, p.parts[i].prev = i+1, i-1
	}
	for i := range n - 1 {
		p.joined[i] = p.join(i)
	}
	for {
		best, gain := -1, int64(0)
		for i := 0; i < n && p.parts[i].next < n; i = p.parts[i].next {
			if v := p.parts[i].cost + p.parts[p.parts[i].next].cost - p.joined[i]; v >= gain {
				best, gain = i, v
			}
		}
		if best < 0 {
			return
		}
		a := &p.parts[best]
		b := &p.parts[a.next]
		a.counts.add(&b.counts)
		a.cost = p.joined[best]
		a.seqs, a.data, a.next = b.seqs, b.data, b.next
		if a.next < n {
			p.parts[a.next].prev = best
			p.joined[best] = p.join(best)
		}
		if a.prev >= 0 {
			p.joined[a.prev] = p.join(a.prev)
		}
	}
}

const costShift = entropy.Shift

// What the description of a block's codes takes, about, in bits, and what each symbol adds.
const (
	headerBits = 80
	symbolBits = 4
)

var none counts

// joinedCost estimates the bits that the symbols of a and b and their codes take, but for extra bits, in 1/256.
func joinedCost(a, b *counts) int64 {
	lit, used := symbolsCost(a.lit[:], b.lit[:])
	dist, more := symbolsCost(a.dist[:], b.dist[:])
	return lit + dist + int64(headerBits+symbolBits*(used+more))<<costShift
}

// symbolsCost is their entropy.
func symbolsCost(a, b []uint32) (cost int64, used int) {
	total := uint32(0)
	b = b[:len(a)]
	for i, k := range a {
		k += b[i]
		if k > 0 {
			used++
			total += k
			cost -= timesLog(k)
		}
	}
	return cost + timesLog(total), used
}

// timesLog is x times its binary logarithm in 1/256.
func timesLog(x uint32) int64 {
	if x < uint32(len(smallLog)) {
		return int64(smallLog[x])
	}
	return int64(x) * int64(entropy.Log2(x))
}

// smallLog is timesLog for small numbers.
var smallLog = func() (t [4096]int32) {
	for i := range t {
		if i > 0 {
			t[i] = int32(i) * entropy.Log2(uint32(i))
		}
	}
	return t
}()
