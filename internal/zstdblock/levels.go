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
	if level >= 5 {
		p := searchParams{nice: envInt("ZNICE", 96), hops: envInt("ZHOPS", 8), steps: []int{3, 4, 5, 6, 8}, logs: []uint{15, 16, 16, 16, 17}}
		if s := os.Getenv("ZSTEPS"); s != "" {
			p.steps, p.logs = nil, nil
			for _, f := range strings.Split(s, ",") {
				n, _ := strconv.Atoi(f)
				p.steps = append(p.steps, n)
			}
			for _, f := range strings.Split(os.Getenv("ZLOGS"), ",") {
				n, _ := strconv.Atoi(f)
				p.logs = append(p.logs, uint(n))
			}
		}
		if level < 10 {
			return newLazyParser(p, maxBlockSize)
		}
		return newOptimalParser(p, envInt("ZPASS", 1), envInt("ZEX", 0) == 1, maxBlockSize)
	}
	switch level {
	case 1:
		return newFastParser(0, 13, 6, 6, maxBlockSize)
	case 2:
		return newFastParser(0, 15, 5, 7, maxBlockSize)
	case 3:
		return newFastParser(16, 15, 5, 8, maxBlockSize)
	}
	return newFastParser(17, 16, 5, 9, maxBlockSize)
}
