package erofs

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

var codecs = []string{"none", "lz4"}

// build makes a pack with what add adds, with two segments at once.
func build(t testing.TB, compressor string, add func(b *erofspack.Builder)) *erofspack.Reader {
	t.Helper()
	return buildJobs(t, compressor, 2, add)
}

func buildJobs(t testing.TB, compressor string, jobs int, add func(b *erofspack.Builder)) *erofspack.Reader {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "layer.pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := erofspack.NewBuilder(f, erofspack.Options{Codec: codec.Spec{Name: compressor}, Jobs: jobs})
	if err != nil {
		t.Fatal(err)
	}
	add(b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := erofspack.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// packTars makes packs of uncompressed layers.
func packTars(t testing.TB, compressor string, jobs int, layers ...[]byte) (packs []*erofspack.Reader) {
	t.Helper()
	for _, layer := range layers {
		packs = append(packs, buildJobs(t, compressor, jobs, func(b *erofspack.Builder) {
			if err := layerpack.AddTar(context.Background(), b, bytes.NewReader(layer), 0); err != nil {
				t.Fatal(err)
			}
		}))
	}
	return packs
}

func linkTo(t testing.TB, w io.Writer, packs ...*erofspack.Reader) (Stats, error) {
	t.Helper()
	return Link(context.Background(), w, fstreetest.Merge(t, packs), packs, Options{Codec: packs[0].Codec()})
}

// link makes an image and gives its path.
func link(t testing.TB, packs ...*erofspack.Reader) (path string, stats Stats) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "test.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stats, err = linkTo(t, struct{ io.Writer }{f}, packs...) // a plain io.Writer: Link must not seek
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if uint64(info.Size()) != stats.Size {
		t.Errorf("the image has %d bytes, Stats says %d", info.Size(), stats.Size)
	}
	return f.Name(), stats
}

func linkBytes(t testing.TB, packs ...*erofspack.Reader) []byte {
	t.Helper()
	path, _ := link(t, packs...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fsck has fsck.erofs read all of an image, which must not complain, and extract it; it gives the folder.
func fsck(t testing.TB, image string) string {
	t.Helper()
	imagetest.Need(t, "fsck.erofs")
	dir := filepath.Join(t.TempDir(), "root")
	out := imagetest.Run(t, "fsck.erofs", "--extract="+dir, image)
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "No errors found") {
			t.Errorf("fsck.erofs says: %s", line)
		}
	}
	return dir
}

func mount(t testing.TB, image string) string {
	t.Helper()
	return imagetest.MountAs(t, "erofs", "ro", image)
}

// add adds an entry to a pack; data is the content of a regular file.
func add(t testing.TB, b *erofspack.Builder, e fstree.Entry, data string) {
	t.Helper()
	var r io.Reader
	if e.Type == fstree.Regular {
		r = strings.NewReader(data)
	}
	if err := b.Add(e, r, int64(len(data))); err != nil {
		t.Fatal(err)
	}
}
