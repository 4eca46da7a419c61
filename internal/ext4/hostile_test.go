package ext4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packfile"
)

// A pack whose fragment blocks begin at the same place, but differ in length, is read without looking beyond one.
func TestOverlappingFragments(t *testing.T) {
	pack := build(t, settings{"none", 4096}, func(b *layerpack.Builder) {
		add(t, b, emptyFile("a"), strings.Repeat("a", 3000))
		add(t, b, emptyFile("b"), strings.Repeat("b", 3500))
	})
	name := pack.File().Name()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const headSize, recordSize, fragmentSize = 40, 56, 16 // of package layerpack
	end := len(data) - packfile.MagicSize - sha256.Size
	head := data[end-headSize : end]
	index := int(le.Uint64(head[8:]))
	fragments := index + int(le.Uint64(head[16:])) + int(le.Uint32(head[28:]))*recordSize + int(le.Uint32(head[36:]))*4
	if n := le.Uint32(head[32:]); n != 2 {
		t.Fatalf("%d fragment blocks, want 2", n)
	}
	copy(data[fragments+fragmentSize:][:8], data[fragments:][:8])
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kind := packfile.Kind{Magic: string(data[:packfile.MagicSize]), HeadSize: headSize}
	err = kind.WriteIndex(f, int64(index), head, func(w io.Writer) { w.Write(data[index : end-headSize]) })
	if err != nil {
		t.Fatal(err)
	}
	hostile, err := layerpack.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer hostile.Close()
	packs := []*layerpack.Reader{hostile}
	if _, err := Link(context.Background(), io.Discard, merge(t, packs...), packs, Options{SizeBuffer: 1}); err != nil {
		t.Error(err)
	}
}

// A pack of which only the index is hostile, with the hash that fits, is an image or an error.
func FuzzHostilePack(f *testing.F) {
	good, err := os.ReadFile(build(f, settings{"lz4", 4096}, func(b *layerpack.Builder) {
		add(f, b, emptyFile("text"), imagetest.Text(1, 30_000))
		add(f, b, emptyFile("small"), imagetest.Text(2, 500))
		add(f, b, emptyFile("zeros"), string(make([]byte, 300_000)))
		add(f, b, fstree.Entry{Path: "link", Type: fstree.HardLink, Link: "text"}, "")
	}).File().Name())
	if err != nil {
		f.Fatal(err)
	}
	const headSize = 40 // of package layerpack
	end := len(good) - packfile.MagicSize - sha256.Size
	data := good[:le.Uint64(good[end-headSize+8:])]
	f.Add(bytes.Clone(good[len(data):end]))
	f.Fuzz(func(t *testing.T, index []byte) {
		sum := sha256.Sum256(index)
		path := filepath.Join(t.TempDir(), "pack")
		if err := os.WriteFile(path, slices.Concat(data, index, sum[:], good[:packfile.MagicSize]), 0o644); err != nil {
			t.Fatal(err)
		}
		pack, err := layerpack.Open(path)
		if err != nil {
			return
		}
		defer pack.Close()
		m := fstree.NewMerger()
		if m.AddLayer("hostile", pack.Entries()) != nil {
			return
		}
		tree, err := m.Tree()
		if err != nil {
			return
		}
		Link(context.Background(), &failing{64 << 20}, tree, []*layerpack.Reader{pack}, Options{SizeBuffer: 1})
	})
}
