package codec

import (
	"runtime"
	"testing"
)

func TestJobs(t *testing.T) {
	for _, c := range []struct {
		spec                  Spec
		blockSize, want, jobs int
	}{
		{Spec{"zstd", 15}, DefaultBlockSize, 2, 2},
		{Spec{"zstd", 15}, DefaultBlockSize, 100, 12},
		{Spec{"zstd", 22}, MaxBlockSize, 100, 6},
		{Spec{"zstd", 3}, DefaultBlockSize, 100, 59},
		{Spec{"xz", 0}, MaxBlockSize, 100, 7},
		{Spec{"lz4", 0}, MinBlockSize, 64, 64},
		{Spec{"none", 0}, MinBlockSize, 1, 1},
		{Spec{"zstd", 22}, MinBlockSize, 0, runtime.GOMAXPROCS(0)},
	} {
		if got := c.spec.Jobs(c.blockSize, c.want); got != c.jobs {
			t.Errorf("%v, blocks of %d, %d wanted: %d, want %d", c.spec, c.blockSize, c.want, got, c.jobs)
		}
	}
}

// TestMemory compares what Jobs reckons with to what encoders take.
func TestMemory(t *testing.T) {
	for _, s := range allSpecs() {
		for _, blockSize := range []int{MinBlockSize, DefaultBlockSize, MaxBlockSize} {
			src, out := sample(1, blockSize), make([]byte, 0, 2*blockSize)
			before := heap()
			e, err := s.NewEncoder(blockSize)
			if err != nil {
				t.Fatal(err)
			}
			EncodeBlock(e, out, src)
			if got := int(heap() - before); got > s.memory(blockSize) {
				t.Errorf("%v, blocks of %d: %d KB, more than %d KB", s, blockSize, got>>10, s.memory(blockSize)>>10)
			}
			runtime.KeepAlive(e)
			runtime.KeepAlive(out)
			runtime.KeepAlive(src)
		}
	}
}

// heap is what is in use of the heap, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
