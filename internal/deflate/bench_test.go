package deflate

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// corpus returns the file that DEFLATE_CORPUS names.
func corpus(b *testing.B) []byte {
	data, err := os.ReadFile(os.Getenv("DEFLATE_CORPUS"))
	if err != nil {
		b.Skip("no corpus: set DEFLATE_CORPUS to a file")
	}
	return data
}

// cpuSeconds is the processor time of this process: other work on the machine does not count.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// segment is how much of the corpus makes a stream.
const segment = 1 << 20

func measure(b *testing.B, data []byte, open func(io.Writer) io.WriteCloser) {
	b.SetBytes(int64(len(data)))
	var size counter
	start := cpuSeconds()
	for b.Loop() {
		size = 0
		for o := 0; o < len(data); o += segment {
			z := open(&size)
			z.Write(data[o:min(o+segment, len(data))])
			z.Close()
		}
	}
	b.ReportMetric(float64(len(data))*float64(b.N)/1e6/(cpuSeconds()-start), "MB/cpu-s")
	b.ReportMetric(float64(size), "bytes")
}

func BenchmarkLevel(b *testing.B) {
	data := corpus(b)
	for level := MinLevel; level <= MaxLevel; level++ {
		b.Run(fmt.Sprint(level), func(b *testing.B) {
			e, _ := NewEncoder(level, MaxChunk)
			measure(b, data, func(w io.Writer) io.WriteCloser { return NewGzipWriter(w, e) })
		})
	}
}

func BenchmarkKlauspost(b *testing.B) {
	data := corpus(b)
	for level := MinLevel; level <= MaxLevel; level++ {
		b.Run(fmt.Sprint(level), func(b *testing.B) {
			z, _ := gzip.NewWriterLevel(io.Discard, level)
			measure(b, data, func(w io.Writer) io.WriteCloser { z.Reset(w); return z })
		})
	}
}
