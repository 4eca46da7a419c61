package zstdblock

// lazyParser takes the scanner's quick choice as it is.
type lazyParser struct {
	scan scanner
	seqs []sequence
}

func newLazyParser(s searchParams, maxBlock int) *lazyParser {
	return &lazyParser{
		scan: newScanner(s, maxBlock),
		seqs: make([]sequence, 0, min(maxBlock, maxZstdBlock)/minMatch+1),
	}
}

func (p *lazyParser) begin(src []byte) { p.scan.begin(src) }

func (p *lazyParser) split(lo, hi int) int { return p.scan.split(lo, hi) }

func (p *lazyParser) parse(_, _ int, reps [3]uint32) ([]sequence, [3]uint32) {
	p.seqs = p.seqs[:0]
	for _, c := range p.scan.choices() {
		value := offsetValue(c.off, c.ll, &reps)
		pushOffset(c.off, value, c.ll, &reps)
		p.seqs = append(p.seqs, sequence{c.ll, c.ml, value})
	}
	return p.seqs, reps
}
