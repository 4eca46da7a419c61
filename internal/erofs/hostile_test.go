package erofs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/packfile"
)

// The end of a pack, of packages erofspack and packfile: the place of the index is in the head, a hash covers both.
const (
	headSize = 32
	headEnd  = sha256.Size + packfile.MagicSize
)

// indexAt is where the index of a pack begins.
func indexAt(pack []byte) uint64 { return le.Uint64(pack[len(pack)-headEnd-headSize+4:]) }

var errFull = errors.New("no room")

// room takes so many bytes.
type room int

func (r *room) Write(b []byte) (int, error) {
	if *r -= room(len(b)); *r < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// A pack of which only the index is hostile, with the hash that fits, is an image or an error.
func FuzzHostilePack(f *testing.F) {
	good, err := os.ReadFile(build(f, "lz4", func(b *erofspack.Builder) {
		add(f, b, special("dir", fstree.Directory), "")
		add(f, b, file("dir/text"), imagetest.Text(1, 30_000))
		add(f, b, file("dir/noise"), imagetest.Noise(2, 5000))
		add(f, b, file("dir/zeros"), string(make([]byte, 300_000)))
		add(f, b, fstree.Entry{Path: "link", Type: fstree.HardLink, Link: "dir/text", Content: fstree.NoContent}, "")
	}).Name())
	if err != nil {
		f.Fatal(err)
	}
	data := good[:indexAt(good)]
	f.Add(bytes.Clone(good[len(data) : len(good)-headEnd]))
	f.Fuzz(func(t *testing.T, index []byte) {
		sum := sha256.Sum256(index)
		path := filepath.Join(t.TempDir(), "pack")
		if err := os.WriteFile(path, slices.Concat(data, index, sum[:], good[:packfile.MagicSize]), 0o644); err != nil {
			t.Fatal(err)
		}
		pack, err := erofspack.Open(path)
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
		r := room(64 << 20)
		Link(context.Background(), &r, tree, []*erofspack.Reader{pack}, Options{Codec: codec.Spec{Name: "lz4"}})
	})
}
