package packcache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/packing"
)

var squashfs = packing.Settings{Kind: packing.Squashfs, Codec: codec.Spec{Name: "none"}, BlockSize: 4096, Jobs: 1}

func open(t *testing.T, dir, program string, s packing.Settings) *Cache {
	t.Helper()
	c, err := Open(dir, program, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files packs what is in a folder, and tells of the modes that mappings give.
func files(t *testing.T, c *Cache, dir string) Pack {
	t.Helper()
	spec := &mapping.Spec{Mappings: []mapping.Mapping{{Src: dir, Dest: "srv"}}}
	p, err := c.Files(func(to layerpack.Adder) error { return spec.Pack(context.Background(), to) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFiles packs again only what has changed: content, names, the settings or the program.
func TestFiles(t *testing.T) {
	cache, dir := t.TempDir(), t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "one")
	write("b", "two")
	c := open(t, cache, "v1", squashfs)
	first := files(t, c, dir)
	if again := files(t, c, dir); first.Cached || !again.Cached || again.File != first.File || again.Size != first.Size || first.Size == 0 {
		t.Errorf("%+v, then %+v", first, again)
	}
	write("a", "onetwo")
	write("b", "")
	if changed := files(t, c, dir); changed.Cached {
		t.Errorf("the bytes moved from one file to another: %+v", changed)
	}
	write("a", "one")
	write("b", "two")
	if back := files(t, c, dir); !back.Cached {
		t.Errorf("as at first: %+v", back)
	}
	if other := files(t, open(t, cache, "v2", squashfs), dir); other.Cached {
		t.Errorf("another program: %+v", other)
	}
	small := squashfs
	small.BlockSize = 8192
	if other := files(t, open(t, cache, "v1", small), dir); other.Cached {
		t.Errorf("another block size: %+v", other)
	}
}

// TestLayer never calls what packs twice, and keeps nothing of a layer that is not good.
func TestLayer(t *testing.T) {
	cache := t.TempDir()
	c := open(t, cache, "v1", squashfs)
	entry := fstree.Entry{Path: "etc", Type: fstree.Directory, Mode: 0o755, Content: fstree.NoContent}
	calls := 0
	add := func(to layerpack.Adder) error {
		calls++
		return to.Add(entry, nil, 0)
	}
	bad := errors.New("wrong digest")
	if _, err := c.Layer("sha256:01", func(to layerpack.Adder) error { return errors.Join(add(to), bad) }); !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
	for i, cached := range []bool{false, true} {
		if p, err := c.Layer("sha256:01", add); err != nil || p.Cached != cached {
			t.Errorf("%d: %+v, %v", i, p, err)
		}
	}
	if calls != 2 {
		t.Errorf("packed %d times", calls)
	}
	if names, _ := filepath.Glob(filepath.Join(cache, "packs", "*", "*")); len(names) != 1 {
		t.Errorf("files %q", names)
	}
}

// TestChanging has a file change between the reading of it and the packing.
func TestChanging(t *testing.T) {
	c := open(t, t.TempDir(), "v1", squashfs)
	n := uint16(0)
	_, err := c.Files(func(to layerpack.Adder) error {
		n++
		return to.Add(fstree.Entry{Path: "d", Type: fstree.Directory, Mode: n, Content: fstree.NoContent}, nil, 0)
	})
	if err == nil || !strings.Contains(err.Error(), "changed while they were read") {
		t.Errorf("error %v", err)
	}
}

// TestDamaged makes packs anew that a crash of the machine cut off.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range []packing.Settings{squashfs, {Kind: packing.Initramfs, Codec: codec.Spec{Name: "gzip", Level: 1}}} {
		c := open(t, t.TempDir(), "v1", s)
		whole := files(t, c, dir)
		for _, size := range []int64{0, whole.Size / 2, whole.Size - 1} {
			if err := os.Truncate(whole.File, size); err != nil {
				t.Fatal(err)
			}
			if p := files(t, c, dir); p.Cached || p.Size != whole.Size {
				t.Errorf("%s, of %d bytes: %+v", s.Kind, size, p)
			}
		}
		if p := files(t, c, dir); !p.Cached {
			t.Errorf("%s: %+v", s.Kind, p)
		}
	}
}
