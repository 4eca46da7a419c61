package zstdblock

import (
	"math/bits"

	"github.com/fledge-build/fledge/internal/lz77"
)

// lazyParser takes the best match at a position unless one of the next two positions has a better one. It searches
// only where it stands, along chains of places with the same first bytes.
type lazyParser struct {
	buf   []byte // the frame's content and padding
	seqs  []sequence
	table []uint32 // last position by prefix: position | tag << 24
	chain []uint32 // by position: distance of the nearest place with the same prefix, 0 for none
	drop  uint
	shift uint
	depth int // places to look at
	ahead int // positions to look ahead
	nice  int // a match this long ends the search
	base  uint32
	size  uint32
}

func newLazyParser(prefix, log uint, depth, ahead, nice, maxBlock int) *lazyParser {
	log = tableLog(log, maxBlock)
	return &lazyParser{
		buf:   make([]byte, 0, maxBlock+padding),
		seqs:  make([]sequence, 0, min(maxBlock, maxZstdBlock)/minMatch+1),
		table: make([]uint32, 1<<log),
		chain: make([]uint32, maxBlock),
		drop:  64 - 8*prefix,
		shift: 64 - log,
		depth: depth,
		ahead: ahead,
		nice:  nice,
		base:  1,
	}
}

func (p *lazyParser) begin(src []byte) {
	var zero [padding]byte
	p.buf = append(append(p.buf[:0], src...), zero[:]...)
	p.base += p.size
	p.size = uint32(len(src))
	if p.base+p.size > posMask {
		clear(p.table)
		p.base = 1
	}
}

func (p *lazyParser) split(_, hi int) int { return hi }

func (p *lazyParser) parse(lo, hi int, reps [3]uint32) ([]sequence, [3]uint32) {
	nearest(p.chain[lo:hi], p.table, p.buf[lo:], p.base+uint32(lo), uint32(lo), p.drop, p.shift)
	buf := p.buf
	seqs := p.seqs[:0]
	anchor := lo
	for i := lo; i+4 < hi; {
		ml, off := p.search(i, hi, i == anchor, &reps)
		if ml == 0 {
			i += 1 + (i-anchor)>>8
			continue
		}
		for k := 1; k <= p.ahead && ml < p.nice && i+k+4 < hi; k++ {
			m, o := p.search(i+k, hi, false, &reps)
			// A byte of match saves some four bits more than a bit of distance costs.
			if m > 0 && m*4-cost(o, &reps) > ml*4-cost(off, &reps)+4*k-1 {
				i += k
				ml, off = m, o
				k = 0
			}
		}
		for i > anchor && i > off && buf[i-1] == buf[i-1-off] {
			i--
			ml++
		}
		ll := uint32(i - anchor)
		value := offsetValue(uint32(off), ll, &reps)
		pushOffset(uint32(off), value, ll, &reps)
		seqs = append(seqs, sequence{ll, uint32(ml), value})
		i += ml
		anchor = i
	}
	p.seqs = seqs
	return seqs, reps
}

// cost returns about how many bits a distance takes.
func cost(off int, reps *[3]uint32) int {
	if uint32(off) == reps[0] {
		return 0
	}
	return bits.Len(uint(off))
}

// search returns the most promising match at i, 0 when there is none.
func (p *lazyParser) search(i, hi int, start bool, reps *[3]uint32) (ml, off int) {
	buf := p.buf
	v := load32(buf, i)
	best := 0
	r := int(reps[0])
	if start {
		r = int(reps[1]) // the last match ended here, so its distance cannot go on
	}
	if r <= i && load32(buf, i-r) == v {
		ml, off = 4+lz77.MatchLen(buf, i+4-r, i+4, hi), r
		if ml >= p.nice {
			return ml, off
		}
		best = ml*4 + 1
	}
	last := max(ml, 3)
	j := i
	for n := p.depth; n > 0; n-- {
		d := int(p.chain[j])
		if d == 0 {
			break
		}
		j -= d
		if load32(buf, j+last-3) != load32(buf, i+last-3) {
			continue
		}
		m := lz77.MatchLen(buf, j, i, hi)
		if m <= last {
			continue
		}
		last = m
		if s := m*4 - bits.Len(uint(i-j)); s > best || m >= p.nice {
			best, ml, off = s, m, i-j
			if m >= p.nice {
				break
			}
		}
	}
	if ml < 4 {
		return 0, 0
	}
	return ml, off
}
