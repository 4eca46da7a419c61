package erofs

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/fledge-build/fledge/internal/imagetest"
)

var (
	firstSeed = flag.Uint64("seed", 1, "the first random tree")
	seeds     = flag.Uint64("seeds", 0, "how many random trees (imagetest.Seeds)")
)

// Random trees come out of the kernel as they went into the layers, fsck.erofs reads them without a complaint, and the
// bytes do not depend on the number of jobs and cores.
func TestRandom(t *testing.T) {
	imagetest.NeedRoot(t, "fsck.erofs")
	imagetest.Seeds(t, *firstSeed, *seeds, testRandom)
}

func testRandom(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	compressor := codecs[seed%2]
	size := 4096 << r.IntN(11) // up to the 4 MiB of a segment
	layers, want := imagetest.Random(t, seed, imagetest.RandomOptions{
		Entries: 1 + r.IntN(min(300, 32<<20/size)), LargeDir: []int{0, 100, 2000, 20_000}[seed/2%4],
		BlockSize: size, XattrBytes: 60_000, MinTime: -5_000_000_000, MaxTime: 1 << 40,
	})
	t.Logf("%s, %d names", compressor, len(want))
	image, stats := link(t, packTars(t, compressor, 4, layers...)...)
	if stats.Dropped.Count != 0 {
		t.Errorf("%+v", stats)
	}
	if out := imagetest.Run(t, "fsck.erofs", "--extract", image); out != "" {
		t.Errorf("fsck.erofs says: %.1000s", out)
	}
	t.Run("read", func(t *testing.T) {
		imagetest.Compare(t, "the mounted image", want, imagetest.Describe(t, mount(t, image)))
	})
	first, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if again := linkBytes(t, packTars(t, compressor, 1, layers...)...); !bytes.Equal(first, again) {
		t.Error("another image with one job and one core")
	}
}
