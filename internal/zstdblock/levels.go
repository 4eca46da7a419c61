package zstdblock

func newParser(level, maxBlockSize int) parser {
	if level >= 10 {
		return newOptimalParser([]int{3, 4, 5, 6, 8, 12, 16, 24}, 128, 1, false, maxBlockSize)
	}
	return newGreedyParser(14, maxBlockSize)
}
