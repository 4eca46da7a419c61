package squashfs

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// options are the link options for a compressor at a fast level.
func options(t testing.TB, compressor string, blockSize int) Options {
	t.Helper()
	level := 0
	if compressor == "zstd" {
		level = 3
	}
	spec, err := codec.ParseSpec(compressor, level)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Codec: spec, BlockSize: blockSize, TempDir: t.TempDir()}
}

// build makes a pack with what add adds.
func build(t testing.TB, o Options, add func(b *layerpack.Builder)) *layerpack.Reader {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "layer.pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := layerpack.NewBuilder(f, layerpack.Options{Codec: o.Codec, BlockSize: o.BlockSize, Jobs: o.Jobs})
	if err != nil {
		t.Fatal(err)
	}
	add(b)
	if _, err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, f.Name())
}

func open(t testing.TB, path string) *layerpack.Reader {
	t.Helper()
	r, err := layerpack.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// packTar makes a pack of an uncompressed layer.
func packTar(t testing.TB, o Options, layer []byte) *layerpack.Reader {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "layer.pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	po := layerpack.Options{Codec: o.Codec, BlockSize: o.BlockSize, Jobs: o.Jobs}
	if _, err := layerpack.PackTar(context.Background(), bytes.NewReader(layer), f, po); err != nil {
		t.Fatal(err)
	}
	return open(t, f.Name())
}

// link makes an image and gives its path.
func link(t testing.TB, o Options, packs ...*layerpack.Reader) (path string, stats Stats) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "test.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// A plain io.Writer: Link must not seek.
	stats, err = Link(context.Background(), struct{ io.Writer }{f}, fstreetest.Merge(t, packs), packs, o)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if uint64(info.Size()) != stats.Size || stats.Size%padding != 0 {
		t.Errorf("the image has %d bytes, Stats says %d", info.Size(), stats.Size)
	}
	return f.Name(), stats
}

func linkBytes(t testing.TB, o Options, packs ...*layerpack.Reader) []byte {
	t.Helper()
	path, _ := link(t, o, packs...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// add adds an entry to a pack; data is the content of a regular file.
func add(t testing.TB, b *layerpack.Builder, e fstree.Entry, data string) {
	t.Helper()
	var r io.Reader
	if e.Type == fstree.Regular {
		r = strings.NewReader(data)
	}
	if err := b.Add(e, r, int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

// unsquash has unsquashfs extract the image and gives the folder.
func unsquash(t testing.TB, image string) string {
	t.Helper()
	imagetest.NeedRoot(t, "unsquashfs")
	dir := filepath.Join(t.TempDir(), "root")
	out := imagetest.Run(t, "unsquashfs", "-no-progress", "-strict-errors", "-d", dir, image)
	if strings.Contains(strings.ToLower(out), "error") || strings.Contains(strings.ToLower(out), "warning") {
		t.Errorf("unsquashfs complains:\n%s", out)
	}
	return dir
}
