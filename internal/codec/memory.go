package codec

import "runtime"

// memoryBudget bounds, in bytes, what all encoders at work and their blocks may take, so that a tool stays below 300 MB
// on machines with many cores too.
const memoryBudget = 224 << 20

// Jobs is how many blocks to compress at once when want are asked for; 0 is one a core. It is fewer where the encoders
// would take too much memory.
func (s Spec) Jobs(blockSize, want int) int {
	if want <= 0 {
		want = runtime.GOMAXPROCS(0)
	}
	const blocks = 4 // two before, two after compression
	return max(1, min(want, memoryBudget/(s.memory(blockSize)+blocks*blockSize)))
}

// memory is what an encoder takes, in bytes, at most; measured.
func (s Spec) memory(blockSize int) int {
	switch {
	case s.Name == "zstd" && s.Level >= 10:
		return 1<<20 + 115*min(blockSize, 128<<10) + 15*blockSize
	case s.Name == "zstd":
		return 2<<20 + 10*blockSize
	case s.Name == "xz":
		return 1<<20 + 24*blockSize // most of it is new for each block
	}
	return 2<<20 + 2*blockSize
}
