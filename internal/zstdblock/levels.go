package zstdblock

import (
	"os"
	"strconv"
	"strings"
)

func envInt(n string, d int) int {
	if v, err := strconv.Atoi(os.Getenv(n)); err == nil {
		return v
	}
	return d
}

func newParser(level, maxBlockSize int) parser {
	if level >= 10 {
		steps := []int{3, 4, 5, 6, 8, 12, 16, 24}
		if s := os.Getenv("ZSTEPS"); s != "" {
			steps = nil
			for _, f := range strings.Split(s, ",") {
				n, _ := strconv.Atoi(f)
				steps = append(steps, n)
			}
		}
		return newOptimalParser(steps, envInt("ZNICE", 128), envInt("ZPASS", 1), envInt("ZEX", 0) == 1, maxBlockSize)
	}
	return newGreedyParser(14, maxBlockSize)
}
