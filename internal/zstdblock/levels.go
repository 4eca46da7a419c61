package zstdblock

// fastLevels are 1 to 4: the first match seen. The short table holds prefixes of shortLen bytes.
var fastLevels = [...]struct{ longLog, shortLog, shortLen, hurry uint }{
	{0, 14, 5, 7},
	{0, 16, 5, 9},
	{16, 15, 5, 8},
	{17, 16, 5, 9},
}

// lazyLevels are 5 to 9: chains of places with the same four bytes.
var lazyLevels = [...]struct {
	log                uint
	depth, ahead, nice int
}{
	{16, 4, 1, 64},
	{16, 8, 2, 96},
	{16, 16, 2, 96},
	{17, 24, 2, 128},
	{17, 48, 2, 192},
}

var (
	coarse = ladder{steps: []int{4, 8}, logs: []uint{15, 16}}
	middle = ladder{steps: []int{4, 5, 8}, logs: []uint{15, 16, 17}}
	fine   = ladder{steps: []int{3, 4, 6, 8}, logs: []uint{15, 16, 16, 17}}
	finer  = ladder{steps: []int{3, 4, 5, 6, 8}, logs: []uint{15, 16, 16, 16, 17}}
	finest = ladder{steps: []int{3, 4, 5, 6, 7, 9}, logs: []uint{16, 17, 17, 17, 17, 17}}
)

// optimalLevels are 10 to 22: dynamic programming over candidates.
var optimalLevels = [...]searchParams{
	{ladder: coarse, nice: 48, passes: 1},
	{ladder: coarse, hops: 4, nice: 64, passes: 1},
	{ladder: middle, hops: 4, nice: 64, passes: 1},
	{ladder: fine, hops: 2, nice: 64, passes: 1},
	{ladder: fine, hops: 4, nice: 96, passes: 1},
	{ladder: finer, hops: 8, nice: 96, passes: 1},
	{ladder: finer, hops: 16, nice: 128, passes: 1},
	{ladder: finest, hops: 16, nice: 128, passes: 1},
	{ladder: finest, hops: 32, nice: 192, passes: 2},
	{ladder: finest, hops: 64, nice: 256, passes: 2, exhaust: true},
	{ladder: finest, hops: 96, nice: 384, passes: 2, exhaust: true},
	{ladder: finest, hops: 192, nice: 448, passes: 2, exhaust: true},
	{ladder: finest, hops: 512, nice: 448, passes: 2, exhaust: true},
}

// newParser returns the parser of a level from MinLevel to MaxLevel.
func newParser(level, maxBlock int) parser {
	level -= MinLevel
	if level < len(fastLevels) {
		l := &fastLevels[level]
		return newFastParser(l.longLog, l.shortLog, l.shortLen, l.hurry, maxBlock)
	}
	level -= len(fastLevels)
	if level < len(lazyLevels) {
		l := &lazyLevels[level]
		return newLazyParser(4, l.log, l.depth, l.ahead, l.nice, maxBlock)
	}
	p := newOptimalParser(optimalLevels[level-len(lazyLevels)], maxBlock)
	p.scan.ownSearch(maxBlock)
	return p
}
