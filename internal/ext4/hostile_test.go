package ext4

import (
	"context"
	"crypto/sha256"
	"errors"
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

// Of package layerpack, in bytes.
const headSize, recordSize, fragmentSize = 40, 56, 16

// seal gives a pack whose index was changed the hash that fits.
func seal(pack []byte) []byte {
	end := len(pack) - packfile.MagicSize - sha256.Size
	if end < packfile.MagicSize+headSize {
		return pack
	}
	if index := le.Uint64(pack[end-headSize+8:]); index <= uint64(end) {
		sum := sha256.Sum256(pack[index:end])
		copy(pack[end:], sum[:])
	}
	return pack
}

// linkHostile links a pack that may be anything, and tells the error. What is linked must have the size that Stats tells.
func linkHostile(t testing.TB, pack []byte) error {
	t.Helper()
	name := filepath.Join(t.TempDir(), "layer.pack")
	if err := os.WriteFile(name, pack, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := layerpack.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	m := fstree.NewMerger()
	if err := m.AddLayer("0", r.Entries()); err != nil {
		return err
	}
	tree, err := m.Tree()
	if err != nil {
		return err
	}
	w := &failing{64 << 20}
	stats, err := Link(context.Background(), w, tree, []*layerpack.Reader{r}, Options{SizeBuffer: 1})
	if size := 64<<20 - w.left; err == nil && uint64(size) != stats.Size {
		t.Errorf("%d bytes were written, Stats tells %d", size, stats.Size)
	}
	return err
}

// A pack whose fragment blocks begin at the same place, but differ in length, is read without looking beyond one.
func TestOverlappingFragments(t *testing.T) {
	pack := build(t, settings{"none", 4096}, func(b *layerpack.Builder) {
		add(t, b, emptyFile("a"), strings.Repeat("a", 3000))
		add(t, b, emptyFile("b"), strings.Repeat("b", 3500))
	})
	data, err := os.ReadFile(pack.File().Name())
	if err != nil {
		t.Fatal(err)
	}
	end := len(data) - packfile.MagicSize - sha256.Size
	head := data[end-headSize : end]
	index := int(le.Uint64(head[8:]))
	fragments := index + int(le.Uint64(head[16:])) + int(le.Uint32(head[28:]))*recordSize + int(le.Uint32(head[36:]))*4
	if n := le.Uint32(head[32:]); n != 2 {
		t.Fatalf("%d fragment blocks, want 2", n)
	}
	copy(data[fragments+fragmentSize:][:8], data[fragments:][:8])
	if err := linkHostile(t, seal(data)); err != nil {
		t.Error(err)
	}
}

// fuzzedPack is a small pack of files of all types, and where its index begins.
func fuzzedPack(t testing.TB) (data []byte, index int) {
	t.Helper()
	pack := build(t, settings{"lz4", 4096}, func(b *layerpack.Builder) {
		for _, content := range []string{
			"", "small", strings.Repeat("x", 3000), imagetest.Text(1, 30_000), imagetest.Noise(2, 9000),
			strings.Repeat("\x00", 20_000) + "end", "x" + strings.Repeat("\x00", 20_000),
		} {
			e := emptyFile("d/" + string(rune('a'+len(content)%26)))
			e.Xattrs = []fstree.Xattr{{Name: "trusted.long", Value: []byte(strings.Repeat("v", 500))}, {Name: "user.a"}}
			add(t, b, e, content)
		}
		add(t, b, fstree.Entry{Path: "l", Type: fstree.HardLink, Link: "d/a"}, "")
		add(t, b, fstree.Entry{Path: "s", Type: fstree.Symlink, Link: strings.Repeat("t", 100)}, "")
		add(t, b, fstree.Entry{Path: "c", Type: fstree.CharDevice, Major: 5, Minor: 300}, "")
	})
	data, err := os.ReadFile(pack.File().Name())
	if err != nil {
		t.Fatal(err)
	}
	return data, int(le.Uint64(data[len(data)-packfile.MagicSize-sha256.Size-headSize+8:]))
}

// Every byte of what the index tells of the data is changed: what is linked all the same has the size that it should
// have, and nothing crashes.
func TestHostilePack(t *testing.T) {
	good, index := fuzzedPack(t)
	end := len(good) - packfile.MagicSize - sha256.Size
	linked := 0
	for at := index + int(le.Uint64(good[end-headSize+16:])); at < end; at++ {
		for _, change := range []byte{0x01, 0xff} {
			data := slices.Clone(good)
			data[at] ^= change
			if linkHostile(t, seal(data)) == nil {
				linked++
			}
		}
	}
	if linked == 0 {
		t.Error("seal does not work: nothing is linked")
	}
}

// FuzzLink changes bytes of the index: each three of its input are a place and what to change there.
func FuzzLink(f *testing.F) {
	good, index := fuzzedPack(f)
	size := len(good) - packfile.MagicSize - sha256.Size - index
	f.Add([]byte{0, 0, 1})
	f.Fuzz(func(t *testing.T, changes []byte) {
		data := slices.Clone(good)
		for change := range slices.Chunk(changes, 3) {
			if len(change) == 3 {
				data[index+int(le.Uint16(change))%size] ^= change[2]
			}
		}
		linkHostile(t, seal(data))
	})
}

// Contents that all have the same blocks, which would take memory for each of them, are refused.
func TestSharedBlocks(t *testing.T) {
	pack := build(t, settings{"none", 4096}, func(b *layerpack.Builder) {
		add(t, b, emptyFile("a"), strings.Repeat(strings.Repeat("\x00", 4096)+imagetest.Noise(1, 4096), 100))
		add(t, b, emptyFile("b"), imagetest.Noise(2, 4096))
	})
	data, err := os.ReadFile(pack.File().Name())
	if err != nil {
		t.Fatal(err)
	}
	head := data[len(data)-packfile.MagicSize-sha256.Size-headSize:]
	contents := data[le.Uint64(head[8:])+le.Uint64(head[16:]):]
	copy(contents[recordSize+sha256.Size:2*recordSize], contents[sha256.Size:recordSize])
	err = linkHostile(t, seal(data))
	if !errors.Is(err, packfile.ErrDamaged) || !strings.Contains(err.Error(), "content 1 has the blocks of others") {
		t.Errorf("error %v", err)
	}
}
