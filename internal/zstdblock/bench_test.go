package zstdblock

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// corpus returns the file that ZSTDBLOCK_CORPUS names, or every 23rd file of /usr/bin, /usr/lib and /usr/share up to
// 32 MiB.
func corpus(b *testing.B) []byte {
	if name := os.Getenv("ZSTDBLOCK_CORPUS"); name != "" {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	var data []byte
	for _, root := range []string{"/usr/bin", "/usr/lib", "/usr/share"} {
		n, limit := 0, len(data)+11<<20
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || len(data) >= limit {
				return nil
			}
			if n++; n%23 == 0 {
				f, _ := os.ReadFile(path)
				data = append(data, f[:min(len(f), limit-len(data))]...)
			}
			return nil
		})
	}
	if len(data) < 1<<20 {
		b.Skip("no corpus: set ZSTDBLOCK_CORPUS to a file")
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

func measure(b *testing.B, data []byte, block int, encode func(dst, src []byte) []byte) {
	buf := encode(nil, data[:min(block, len(data))])
	b.SetBytes(int64(len(data)))
	size := 0
	start := cpuSeconds()
	for b.Loop() {
		size = 0
		for o := 0; o < len(data); o += block {
			buf = encode(buf[:0], data[o:min(o+block, len(data))])
			size += len(buf)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(data))/1e6/(cpuSeconds()-start), "cpuMB/s")
	b.ReportMetric(float64(len(data))/float64(size), "ratio")
	b.ReportMetric(float64(size), "size")
}

func BenchmarkLevel(b *testing.B) {
	data := corpus(b)
	for _, block := range []int{128 << 10, 1 << 20} {
		for level := MinLevel; level <= MaxLevel; level++ {
			b.Run(fmt.Sprintf("%dK/%d", block>>10, level), func(b *testing.B) {
				e, err := NewEncoder(level, block)
				if err != nil {
					b.Fatal(err)
				}
				measure(b, data, block, e.Encode)
			})
		}
	}
}

// BenchmarkStream measures segments of an initramfs.
func BenchmarkStream(b *testing.B) {
	data := corpus(b)
	for level := MinStreamLevel; level <= MaxLevel; level++ {
		b.Run(fmt.Sprint(level), func(b *testing.B) {
			z, err := NewWriter(level, 22, 2)
			if err != nil {
				b.Fatal(err)
			}
			measure(b, data, 8<<20, func(dst, src []byte) []byte {
				out := bytes.NewBuffer(dst)
				z.Reset(out)
				z.Write(src)
				if err := z.Close(); err != nil {
					b.Fatal(err)
				}
				return out.Bytes()
			})
		})
	}
}

func BenchmarkKlauspost(b *testing.B) {
	data := corpus(b)
	for level := zstd.SpeedFastest; level <= zstd.SpeedBestCompression; level++ {
		b.Run(level.String(), func(b *testing.B) {
			e, err := zstd.NewWriter(new(bytes.Buffer), zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
				zstd.WithEncoderCRC(false))
			if err != nil {
				b.Fatal(err)
			}
			measure(b, data, 128<<10, func(dst, src []byte) []byte { return e.EncodeAll(src, dst) })
		})
	}
}
