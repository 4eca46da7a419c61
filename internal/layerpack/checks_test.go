package layerpack

import (
	"bytes"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/packfile"
)

// checkedPack is a pack of several checks' length, in which a large file was dropped as a duplicate, and its data.
func checkedPack(t *testing.T, compressor string) (r *Reader, data []byte) {
	t.Helper()
	noise := make([]byte, 3*checkSize+1234)
	rand.New(rand.NewSource(1)).Read(noise)
	r, _ = build(t, options(t, compressor), func(b *Builder) error {
		for _, f := range []struct {
			name string
			data []byte
		}{
			{"a", noise}, {"small", noise[:99]}, {"again", noise}, {"b", noise[:2*checkSize]},
			{"b-again", noise[:2*checkSize]}, {"small-too", noise[7:77]}, {"last", noise},
		} {
			if err := addFile(b, f.name, f.data); err != nil {
				return err
			}
		}
		return nil
	})
	file, err := os.ReadFile(r.File().Name())
	if err != nil {
		t.Fatal(err)
	}
	return r, file[packfile.MagicSize:r.foot.dataEnd]
}

// Any piece of the data can be read, whatever the border of the checks, and nothing else.
func TestReadAt(t *testing.T) {
	for _, compressor := range []string{"none", "zstd"} {
		r, data := checkedPack(t, compressor)
		for _, piece := range [][2]int{
			{0, len(data)}, {0, 0}, {len(data), 0}, {0, 1}, {len(data) - 1, 1}, {5, checkSize},
			{checkSize - packfile.MagicSize, checkSize}, {checkSize - packfile.MagicSize - 1, 2}, {2*checkSize - packfile.MagicSize, 1},
			{100, 2*checkSize + 5},
		} {
			p := make([]byte, piece[1])
			n, err := r.ReadAt(p, int64(packfile.MagicSize+piece[0]))
			if err != nil || n != len(p) || !bytes.Equal(p, data[piece[0]:piece[0]+piece[1]]) {
				t.Errorf("%s: %d bytes at %d: %d read, %v", compressor, piece[1], piece[0], n, err)
			}
		}
		for _, piece := range [][2]int{{-1, 2}, {len(data), 1}, {0, len(data) + 1}, {-100, 1}} {
			if _, err := r.ReadAt(make([]byte, piece[1]), int64(packfile.MagicSize+piece[0])); err == nil {
				t.Errorf("%s: no error for %d bytes at %d", compressor, piece[1], piece[0])
			}
		}
	}
}

// Each flipped bit of the data shows when the bytes around it are read, and only then.
func TestDamagedData(t *testing.T) {
	good, data := checkedPack(t, "none")
	pack, err := os.ReadFile(good.File().Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1, checkSize - packfile.MagicSize - 1, checkSize - packfile.MagicSize, 2 * checkSize, len(data) - 1} {
		damaged := slices.Clone(pack)
		damaged[packfile.MagicSize+at] ^= 4
		path := filepath.Join(t.TempDir(), "damaged.pack")
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.ReadAt(make([]byte, len(data)), int64(packfile.MagicSize))
		if err == nil || !strings.Contains(err.Error(), "its data is damaged between the bytes ") {
			t.Errorf("byte %d flipped, all read: %v", at, err)
		}
		for _, start := range []int{0, checkSize, 3 * checkSize} {
			off := int64(max(start, packfile.MagicSize))
			_, err := r.ReadAt(make([]byte, 1), off)
			if same := (packfile.MagicSize+at)/checkSize == start/checkSize; same != (err != nil) {
				t.Errorf("byte %d flipped, one read at %d: %v", at, off, err)
			}
		}
		r.Close()
	}
}
