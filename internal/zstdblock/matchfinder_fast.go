package zstdblock

import "github.com/fledge-build/fledge/internal/lz77"

// fastParser takes the first match it sees: that of eight bytes or more, else a short one. It looks at ever fewer
// positions the longer it finds nothing.
type fastParser struct {
	src   []byte
	seqs  []sequence
	long  []uint32 // last positions by eight bytes: position | tag << 24; empty for the lowest levels
	short []uint32 // last positions by the first few bytes
	drop  uint     // bits of eight bytes that short leaves out
	hurry uint     // look at one position more in every 1<<hurry bytes without a match
	shiftLong,
	shiftShort uint
	base uint32 // added to positions, so that entries of earlier frames are too small
	size uint32
}

func newFastParser(longLog, shortLog, shortLen, hurry uint, maxBlock int) *fastParser {
	p := &fastParser{
		seqs:  make([]sequence, 0, min(maxBlock, maxZstdBlock)/minMatch+1),
		drop:  64 - 8*shortLen,
		hurry: hurry,
		base:  1,
	}
	shortLog = tableLog(shortLog, maxBlock)
	p.short, p.shiftShort = make([]uint32, 1<<shortLog), 64-shortLog
	if longLog > 0 {
		longLog = tableLog(longLog, maxBlock)
		p.long, p.shiftLong = make([]uint32, 1<<longLog), 64-longLog
	}
	return p
}

func (p *fastParser) begin(src []byte) {
	p.src = src
	p.base += p.size
	p.size = uint32(len(src))
	if p.base+p.size > posMask {
		clear(p.long)
		clear(p.short)
		p.base = 1
	}
}

func (p *fastParser) split(_, hi int) int { return hi }

func (p *fastParser) parse(lo, hi int, reps [3]uint32) ([]sequence, [3]uint32) {
	if p.long == nil {
		return p.single(lo, hi, reps)
	}
	return p.double(lo, hi, reps)
}

// slot returns the entry of table for h and the tag that marks it.
func slot(table []uint32, h uint64, shift uint) (*uint32, uint32) {
	return &table[h>>(shift&63)], uint32(h>>16) &^ posMask
}

func (p *fastParser) single(lo, hi int, reps [3]uint32) ([]sequence, [3]uint32) {
	src, seqs := p.src[:hi], p.seqs[:0]
	base, drop, shift, hurry := p.base, p.drop, p.shiftShort, p.hurry&63
	table := p.short
	anchor := lo
	for i := lo + 1; i+9 <= len(src); {
		v := load64(src, i)
		e, tag := slot(table, v<<(drop&63)*prime1, shift)
		at := base + uint32(i)
		d := at - (*e ^ tag)
		*e = at | tag
		var n int
		if r := int(reps[0]); r <= i && load32(src, i+1-r) == uint32(v>>8) {
			i++
			d = uint32(r)
			n = 4 + lz77.MatchLen(src, i+4-r, i+4, hi)
		} else if d <= uint32(i) && load32(src, i-int(d)) == uint32(v) {
			n = 4 + lz77.MatchLen(src, i+4-int(d), i+4, hi)
		} else {
			i += 1 + (i-anchor)>>hurry
			continue
		}
		for i > anchor && i > int(d) && src[i-1] == src[i-1-int(d)] {
			i--
			n++
		}
		ll := uint32(i - anchor)
		value := offsetValue(d, ll, &reps)
		pushOffset(d, value, ll, &reps)
		seqs = append(seqs, sequence{ll, uint32(n), value})
		i += n
		anchor = i
		if i+9 > len(src) {
			break
		}
		e, tag = slot(table, load64(src, i-2)<<(drop&63)*prime1, shift)
		*e = (base + uint32(i-2)) | tag
		seqs, i = p.again(seqs, i, hi, &reps)
		anchor = i
	}
	p.seqs = seqs
	return seqs, reps
}

// again takes matches at the last offset but one that follow without literals, as records with fields do.
func (p *fastParser) again(seqs []sequence, i, hi int, reps *[3]uint32) ([]sequence, int) {
	src := p.src[:hi]
	for i+9 <= hi {
		d := int(reps[1])
		if d > i || load32(src, i) != load32(src, i-d) {
			break
		}
		n := 4 + lz77.MatchLen(src, i+4-d, i+4, hi)
		reps[0], reps[1] = reps[1], reps[0]
		seqs = append(seqs, sequence{0, uint32(n), 1})
		p.insert(i)
		i += n
	}
	return seqs, i
}

func (p *fastParser) insert(i int) {
	v := load64(p.src, i)
	at := p.base + uint32(i)
	e, tag := slot(p.short, v<<(p.drop&63)*prime1, p.shiftShort)
	*e = at | tag
	if p.long != nil {
		e, tag = slot(p.long, v*prime1, p.shiftLong)
		*e = at | tag
	}
}

func (p *fastParser) double(lo, hi int, reps [3]uint32) ([]sequence, [3]uint32) {
	src, seqs := p.src[:hi], p.seqs[:0]
	base, drop, shiftL, shiftS, hurry := p.base, p.drop, p.shiftLong, p.shiftShort, p.hurry&63
	anchor := lo
	for i := lo; i+9 <= len(src); {
		v := load64(src, i)
		at := base + uint32(i)
		e, tag := slot(p.long, v*prime1, shiftL)
		dl := at - (*e ^ tag)
		*e = at | tag
		e, tag = slot(p.short, v<<(drop&63)*prime1, shiftS)
		d := at - (*e ^ tag)
		*e = at | tag
		var n int
		if r := int(reps[0]); r <= i && load32(src, i+1-r) == uint32(v>>8) {
			i++
			d = uint32(r)
			n = 4 + lz77.MatchLen(src, i+4-r, i+4, hi)
		} else if dl <= uint32(i) && load64(src, i-int(dl)) == v {
			d = dl
			n = 8 + lz77.MatchLen(src, i+8-int(d), i+8, hi)
		} else if d <= uint32(i) && load32(src, i-int(d)) == uint32(v) {
			n = 4 + lz77.MatchLen(src, i+4-int(d), i+4, hi)
			// The next position may have a long one.
			w := load64(src, i+1)
			e, tag = slot(p.long, w*prime1, shiftL)
			dl = at + 1 - (*e ^ tag)
			*e = (at + 1) | tag
			if dl <= uint32(i) && load64(src, i+1-int(dl)) == w {
				if m := 8 + lz77.MatchLen(src, i+9-int(dl), i+9, hi); m > n {
					i, d, n = i+1, dl, m
				}
			}
		} else {
			i += 1 + (i-anchor)>>hurry
			continue
		}
		for i > anchor && i > int(d) && src[i-1] == src[i-1-int(d)] {
			i--
			n++
		}
		ll := uint32(i - anchor)
		value := offsetValue(d, ll, &reps)
		pushOffset(d, value, ll, &reps)
		seqs = append(seqs, sequence{ll, uint32(n), value})
		from := i
		i += n
		anchor = i
		if i+9 > len(src) {
			break
		}
		p.insert(from + 2)
		p.insert(i - 2)
		seqs, i = p.again(seqs, i, hi, &reps)
		anchor = i
	}
	p.seqs = seqs
	return seqs, reps
}
