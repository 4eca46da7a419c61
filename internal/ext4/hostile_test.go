package ext4

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"strings"
	"testing"

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
