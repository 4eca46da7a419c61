package squashfsread

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
)

// counter counts reads.
type counter struct {
	io.ReaderAt
	n int
}

func (c *counter) ReadAt(p []byte, at int64) (int, error) {
	c.n++
	return c.ReaderAt.ReadAt(p, at)
}

// TestManyNames: the list of a file's blocks, larger than what is kept of the inode table, is not read for every name.
func TestManyNames(t *testing.T) {
	const (
		names = 50
		size  = 2200 << 20
	)
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	hole := filepath.Join(dir, "hole")
	if err := os.WriteFile(hole, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(hole, size); err != nil {
		t.Fatal(err)
	}
	for i := range names - 1 {
		if err := os.Link(hole, fmt.Sprint(hole, i)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(artifacttest.Squashfs(t, dir, "-b", "4K"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	reads := &counter{ReaderAt: f}
	r, err := Open(reads, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range r.Walk(".") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Path != "." && (e.Size != size || e.Stored != 0) {
			t.Errorf("%+v", e)
		}
		n++
	}
	blocks := int(r.inodeBytes / metadataSize)
	if n != names+1 || blocks <= cachedBlocks || reads.n > 10*blocks {
		t.Errorf("%d entries, %d metadata blocks, %d reads", n, blocks, reads.n)
	}
}

// TestFirstDamage: however many blocks are damaged and unpacked at once, the first is told.
func TestFirstDamage(t *testing.T) {
	dir := t.TempDir()
	for i := range 4 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), artifacttest.Text(i, 300_000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	image, err := os.ReadFile(artifacttest.Squashfs(t, dir, "-b", "4K"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	for at := r.inodes.start / 2; at < r.inodes.start; at += 100 {
		image[at] ^= 0xff
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := r.Verify()
	if want == nil || !strings.Contains(want.Error(), ": block ") {
		t.Fatal(want)
	}
	for range 20 {
		runtime.GOMAXPROCS(8)
		if err := r.Verify(); err == nil || err.Error() != want.Error() {
			t.Fatalf("%v, want %v", err, want)
		}
	}
}
