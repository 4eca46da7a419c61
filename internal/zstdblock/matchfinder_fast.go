package zstdblock

type greedyParser struct {
	src   []byte
	table []uint32
	log   uint
	base  uint32
	seqs  []sequence
}

func newGreedyParser(log uint, max int) *greedyParser {
	return &greedyParser{table: make([]uint32, 1<<log), log: log, base: 1, seqs: make([]sequence, 0, min(max, maxZstdBlock)/minMatch+1)}
}
func (p *greedyParser) begin(src []byte)     { clear(p.table); p.src = src }
func (p *greedyParser) split(lo, hi int) int { return hi }
func (p *greedyParser) parse(lo, hi int, reps [3]uint32) ([]sequence, [3]uint32) {
	p.seqs = p.seqs[:0]
	src := p.src
	anchor := lo
	for i := lo; i+8 <= hi; {
		v := load32(src, i)
		h := v * 2654435761 >> (32 - p.log)
		c := int(p.table[h]) - 1
		p.table[h] = uint32(i + 1)
		if c < 0 || load32(src, c) != v {
			i++
			continue
		}
		m := matchLen(src, c, i, hi)
		off := uint32(i - c)
		ll := uint32(i - anchor)
		val := offsetValue(off, ll, &reps)
		pushOffset(off, val, ll, &reps)
		p.seqs = append(p.seqs, sequence{ll, uint32(m), val})
		i += m
		anchor = i
	}
	return p.seqs, reps
}
