package squashfs

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

var update = flag.Bool("update", false, "write testdata/golden.hex anew")

// The bytes of a small image with every type of inode, basic and extended, are as they were. They are uncompressed, so
// that only the layout shows.
func TestGolden(t *testing.T) {
	o := options(t, "none", 4096)
	pack := build(t, o, func(b *layerpack.Builder) {
		x := strings.Repeat("\x00", 4096) + "a sparse block and a short one"
		caps := []fstree.Xattr{
			{Name: "security.capability", Value: []byte(imagetest.FileCaps)}, {Name: "trusted.a", Value: []byte("1")},
		}
		none := uint32(fstree.NoContent)
		for _, e := range []fstree.Entry{
			{Path: ".", Type: fstree.Directory, Mode: 0o755, ModTime: 1, Content: none},
			{Path: "a", Type: fstree.Regular, Mode: 0o644, UID: 1000, GID: 1001, ModTime: 2},
			{Path: "b", Type: fstree.HardLink, Link: "a", Content: none},
			{Path: "c", Type: fstree.CharDevice, Mode: 0o600, Major: 5, Minor: 1, ModTime: -1, Content: none},
			{Path: "d", Type: fstree.Directory, Mode: 0o700, Xattrs: caps, Content: none},
			{Path: "d/d", Type: fstree.BlockDevice, Mode: 0o600, Major: 259, Minor: 300, Xattrs: caps, Content: none},
			{Path: "d/f", Type: fstree.FIFO, Mode: 0o600, Xattrs: caps, Content: none},
			{Path: "d/l", Type: fstree.Symlink, Mode: 0o777, Link: "../x", Xattrs: caps, Content: none},
			{Path: "d/s", Type: fstree.Socket, Mode: 0o600, Xattrs: caps, Content: none},
			{Path: "e", Type: fstree.Directory, Mode: 0o755, ModTime: 1 << 40, Content: none},
			{Path: "f", Type: fstree.FIFO, Mode: 0o622, Content: none},
			{Path: "l", Type: fstree.Symlink, Mode: 0o777, Link: "a", Content: none},
			{Path: "s", Type: fstree.Socket, Mode: 0o755, Content: none},
			{Path: "x", Type: fstree.Regular, Mode: 0o755},
			{Path: "z", Type: fstree.Regular, Mode: 0o4755},
		} {
			add(t, b, e, map[string]string{"a": "small", "x": x}[e.Path])
		}
	})
	path, stats := link(t, o, pack)
	if stats.Clamped != 2 || stats.Inodes != 14 || stats.Files != 3 || stats.Directories != 3 {
		t.Errorf("stats %+v", stats)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := le.Uint64(data[40:])
	if len(data) != padding || len(bytes.Trim(data[used:], "\x00")) > 0 {
		t.Errorf("%d bytes, the padding is not zeros", len(data))
	}
	got := hex.Dump(data[:used])
	golden := filepath.Join("testdata", "golden.hex")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the image differs from %s; after a wanted change run the test with -update\n%s", golden, got)
	}
	t.Run("unsquashfs", func(t *testing.T) { unsquash(t, path) })
}

// The image does not depend on how many blocks are compressed at once, nor on where its temporary files are.
func TestJobs(t *testing.T) {
	for _, compressor := range []string{"zstd", "gzip", "xz", "lz4", "none"} {
		var first []byte
		for _, jobs := range []int{1, 2, 7} {
			o := options(t, compressor, 4096)
			o.Jobs = jobs
			packs := []*layerpack.Reader{manyFiles(t, o, 3000, 0), hideFiles(t, o, 3000, 2)}
			image := linkBytes(t, o, packs...)
			if first == nil {
				first = image
			} else if !bytes.Equal(first, image) {
				t.Errorf("%s: another image with %d jobs", compressor, jobs)
			}
		}
	}
}

// manyFiles is a layer with n small files in folders of 100.
func manyFiles(t testing.TB, o Options, n, seed int) *layerpack.Reader {
	return build(t, o, func(b *layerpack.Builder) {
		for i := range n {
			e := fstree.Entry{Path: fmt.Sprintf("d%d/f%d", i/100, i), Type: fstree.Regular, Mode: 0o644, ModTime: int64(i)}
			add(t, b, e, imagetest.Noise(seed+i, 1+i%700))
		}
	})
}

// hideFiles is a layer that hides all of the files of manyFiles but every keep-th.
func hideFiles(t testing.TB, o Options, n, keep int) *layerpack.Reader {
	return build(t, o, func(b *layerpack.Builder) {
		for i := range n {
			if i%keep != 0 {
				add(t, b, fstree.Entry{Path: fmt.Sprintf("d%d/.wh.f%d", i/100, i), Type: fstree.Regular}, "")
			}
		}
	})
}

// Fragment blocks with many dead tails are packed again; with few, they are copied.
func TestDeadTails(t *testing.T) {
	imagetest.Need(t, "unsquashfs")
	const n, keep = 4000, 3
	live := uint64(0)
	for i := 0; i < n; i += keep {
		live += uint64(1 + i%700)
	}
	many := func(o Options) *layerpack.Reader { return hideFiles(t, o, n, keep) }
	few := func(o Options) *layerpack.Reader {
		return build(t, o, func(b *layerpack.Builder) {
			add(t, b, fstree.Entry{Path: "d1/.wh.f151", Type: fstree.Regular}, "")
		})
	}
	for _, tc := range []struct {
		name, compress string
		hide           func(o Options) *layerpack.Reader
		repacked       bool
		live           uint64
	}{
		{"many", "none", many, true, live},
		{"many, compressed", "zstd", many, true, live},
		{"few", "none", few, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(t, tc.compress, 8192)
			packs := []*layerpack.Reader{manyFiles(t, o, n, 0), tc.hide(o)}
			image, stats := link(t, o, packs...)
			if tc.repacked != (stats.Repacked > 0) || stats.Dead > stats.Size/maxDead {
				t.Errorf("%+v", stats)
			}
			if tc.live > 0 && stats.Size > tc.live+tc.live/maxDead+100_000 { // the rest is tables
				t.Errorf("the image has %d bytes for %d of data", stats.Size, tc.live)
			}
			left, err := filepath.Glob(filepath.Join(o.TempDir, "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("temporary files stayed: %q, %v", left, err)
			}
			for i := 0; i < n; i += keep * 97 { // some of the files, which take a process each
				name := fmt.Sprintf("d%d/f%d", i/100, i)
				if got := imagetest.Run(t, "unsquashfs", "-cat", image, name); got != imagetest.Noise(i, 1+i%700) {
					t.Errorf("%s has other content", name)
				}
			}
		})
	}
}

// Data of files that a later layer hides is not in the image, and what two layers have is in it once.
func TestHiddenAndShared(t *testing.T) {
	o := options(t, "none", 4096)
	big, other, small := imagetest.Noise(1, 100_000), imagetest.Noise(2, 100_000), imagetest.Noise(3, 500)
	file := func(name, data string) func(b *layerpack.Builder) {
		return func(b *layerpack.Builder) { add(t, b, fstree.Entry{Path: name, Type: fstree.Regular}, data) }
	}
	layer := func(adds ...func(b *layerpack.Builder)) *layerpack.Reader {
		return build(t, o, func(b *layerpack.Builder) {
			for _, a := range adds {
				a(b)
			}
		})
	}
	base := layer(file("big", big), file("small", small), file("hidden", other))
	top := layer(file("again", big), file("small-again", small), file("hidden", "not any more"))
	image, stats := link(t, o, base, top)
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{big: 1, other: 0, "not any more": 1} {
		if n := bytes.Count(data, []byte(what)); n != want {
			t.Errorf("%d bytes of a file are %d times in the image, not %d times", len(what), n, want)
		}
	}
	if stats.Shared != uint64(len(big)+len(small)) {
		t.Errorf("stats %+v", stats)
	}
	// With the first hidden, the later one is the one that is stored.
	_, stats = link(t, o, base, layer(file("big", "x"), file("small", "y")), top)
	if stats.Shared != 0 || stats.Copied < uint64(len(big)+len(small)) {
		t.Errorf("stats %+v", stats)
	}
	t.Run("content", func(t *testing.T) {
		dir := unsquash(t, image)
		for name, want := range map[string]string{"big": big, "again": big, "small": small, "small-again": small} {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
				t.Errorf("%s: other content, %v", name, err)
			}
		}
	})
}

func TestLinkErrors(t *testing.T) {
	o := options(t, "gzip", 4096)
	one := func(e fstree.Entry) *layerpack.Reader {
		return build(t, o, func(b *layerpack.Builder) { add(t, b, e, "x") })
	}
	plain := one(fstree.Entry{Path: "a/b", Type: fstree.Regular})
	zstd, large := options(t, "zstd", 4096), options(t, "gzip", 8192)
	for _, tc := range []struct {
		name string
		pack *layerpack.Reader
		o    Options
		want string
	}{
		{"compressor", plain, zstd, "layer pack " + plain.File().Name() + " has blocks of 4096 bytes with gzip 9, " +
			"the image blocks of 4096 with zstd 3; pack the layer with the image's settings"},
		{"block size", plain, large, "layer pack " + plain.File().Name() + " has blocks of 4096 bytes with gzip 9, " +
			"the image blocks of 8192 with gzip 9; pack the layer with the image's settings"},
		{"major", one(fstree.Entry{Path: "a/b", Type: fstree.CharDevice, Major: 4096}), o,
			`"/a/b": device 4096:0 is beyond 4095:1048575, the highest number that squashfs can hold`},
		{"minor", one(fstree.Entry{Path: "b", Type: fstree.BlockDevice, Minor: 1 << 20}), o,
			`"/b": device 0:1048576 is beyond 4095:1048575, the highest number that squashfs can hold`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			packs := []*layerpack.Reader{tc.pack}
			_, err := Link(context.Background(), &out, fstreetest.Merge(t, packs), packs, tc.o)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if out.Len() > 0 {
				t.Error("something was written before the error")
			}
		})
	}
}

func TestMissingPack(t *testing.T) {
	o := options(t, "none", 4096)
	pack := manyFiles(t, o, 1, 0)
	tree := fstreetest.Merge(t, []*layerpack.Reader{pack, pack})
	_, err := Link(context.Background(), &bytes.Buffer{}, tree, []*layerpack.Reader{pack}, o)
	if err == nil || !strings.Contains(err.Error(), `"f0" has the content 0 of layer 1, which is not among the packs`) {
		t.Errorf("error %v", err)
	}
}

func TestCancelled(t *testing.T) {
	o := options(t, "none", 4096)
	packs := []*layerpack.Reader{manyFiles(t, o, 10, 0)}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Link(ctx, &bytes.Buffer{}, fstreetest.Merge(t, packs), packs, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A write that fails ends the link with its error.
func TestFullDisk(t *testing.T) {
	o := options(t, "none", 4096)
	packs := []*layerpack.Reader{manyFiles(t, o, 500, 0)}
	full := errors.New("no space left")
	for limit := range 5 {
		w := &limitedWriter{limit * 30_000, full}
		if _, err := Link(context.Background(), w, fstreetest.Merge(t, packs), packs, o); !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}
