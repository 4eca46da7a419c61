package ext4

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
	"github.com/fledge-build/fledge/internal/sparsefile"
)

// settings of packs.
type settings struct {
	compressor string
	blockSize  int
}

var plain = settings{"none", 128 << 10}

func (s settings) options(t testing.TB) layerpack.Options {
	t.Helper()
	level := 0
	if s.compressor == "zstd" {
		level = 3
	}
	spec, err := codec.ParseSpec(s.compressor, level)
	if err != nil {
		t.Fatal(err)
	}
	return layerpack.Options{Codec: spec, BlockSize: s.blockSize}
}

// build makes a pack with what add adds.
func build(t testing.TB, s settings, add func(b *layerpack.Builder)) *layerpack.Reader {
	t.Helper()
	return write(t, func(f *os.File) error {
		b, err := layerpack.NewBuilder(f, s.options(t))
		if err != nil {
			return err
		}
		add(b)
		_, err = b.Close()
		return err
	})
}

// packTar makes a pack of an uncompressed layer.
func packTar(t testing.TB, s settings, layer []byte) *layerpack.Reader {
	t.Helper()
	return write(t, func(f *os.File) error {
		_, err := layerpack.PackTar(context.Background(), bytes.NewReader(layer), f, s.options(t))
		return err
	})
}

func write(t testing.TB, fill func(f *os.File) error) *layerpack.Reader {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "layer.pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := fill(f); err != nil {
		t.Fatal(err)
	}
	r, err := layerpack.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// link makes an image, has e2fsck look at it, and gives its path.
func link(t testing.TB, o Options, packs ...*layerpack.Reader) (path string, stats Stats) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "test.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sparse := sparsefile.New(f)
	stats, err = Link(context.Background(), sparse, fstreetest.Merge(t, packs), packs, o)
	if err == nil {
		err = sparse.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || uint64(info.Size()) != stats.Size {
		t.Errorf("the image has %d bytes, Stats says %d, %v", info.Size(), stats.Size, err)
	}
	check(t, f.Name())
	return f.Name(), stats
}

// check has e2fsck look at an image; what it would repair is an error.
func check(t testing.TB, image string) {
	t.Helper()
	for _, line := range e2fsck(t, image) {
		t.Errorf("e2fsck -fn says %q", line)
	}
}

// checkUsed is check for an image that the kernel has written to, which leaves extent trees as they are when files
// become smaller.
func checkUsed(t testing.TB, image string) {
	t.Helper()
	for _, line := range e2fsck(t, image) {
		if !strings.Contains(line, "extent tree (at level 1) could be ") && line != "\n" {
			t.Errorf("e2fsck -fn says %q", line)
		}
	}
}

// e2fsck tells what e2fsck says beyond what it always does.
func e2fsck(t testing.TB, image string) (lines []string) {
	t.Helper()
	imagetest.Need(t, "e2fsck")
	for line := range strings.Lines(imagetest.Run(t, "e2fsck", "-fn", image)) {
		if !strings.HasPrefix(line, "e2fsck ") && !strings.HasPrefix(line, "Pass ") && !strings.Contains(line, "non-contiguous") {
			lines = append(lines, line)
		}
	}
	return lines
}

// mount has the kernel mount an image.
func mount(t testing.TB, options, image string) string {
	t.Helper()
	return imagetest.MountAs(t, "ext4", options, image)
}

// add adds an entry to a pack; data is the content of a regular file.
func add(t testing.TB, b *layerpack.Builder, e fstree.Entry, data string) {
	t.Helper()
	var r io.Reader
	if e.Type == fstree.Regular {
		r = strings.NewReader(data)
	} else {
		e.Content = fstree.NoContent
	}
	if err := b.Add(e, r, int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

func emptyFile(path string) fstree.Entry {
	return fstree.Entry{Path: path, Type: fstree.Regular, Mode: 0o644}
}
