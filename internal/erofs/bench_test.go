package erofs

import (
	"context"
	"os"
	"testing"

	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// BenchmarkImage makes an image of the uncompressed layer that FLEDGE_BENCH_LAYER names.
func BenchmarkImage(b *testing.B) {
	path := os.Getenv("FLEDGE_BENCH_LAYER")
	if path == "" {
		b.Skip("FLEDGE_BENCH_LAYER names no layer")
	}
	for _, compressor := range codecs {
		b.Run(compressor, func(b *testing.B) {
			for b.Loop() {
				pack := build(b, compressor, func(p *erofspack.Builder) {
					layer, err := os.Open(path)
					if err != nil {
						b.Fatal(err)
					}
					defer layer.Close()
					if err := layerpack.AddTar(context.Background(), p, layer, 0); err != nil {
						b.Fatal(err)
					}
				})
				_, stats := link(b, pack)
				b.ReportMetric(float64(stats.Size)/1e6, "MB")
			}
		})
	}
}
