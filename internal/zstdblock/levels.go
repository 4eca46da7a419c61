package zstdblock

func newParser(level, maxBlockSize int) parser {
	return newGreedyParser(14, maxBlockSize)
}
