package verity

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/verity/layout"
)

// TestVerify changes single bytes of images with trees of none to three levels.
func TestVerify(t *testing.T) {
	for _, size := range sizes {
		f := newFile(t, size)
		p, err := Append(f, size, layout.Hash(sha256.Sum256([]byte("salt"))), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(f, p, 0); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		end, err := f.File.Seek(0, 2)
		if err != nil {
			t.Fatal(err)
		}
		places := map[int64]string{0: "the file system is damaged in the block at byte 0", p.HashOffset: "not the one for the root hash"}
		last := p.HashOffset - 1
		places[last] = fmt.Sprintf("the file system is damaged in the block at byte %d", last/4096*4096)
		if tree := p.HashOffset + 4096; tree < end {
			places[tree] = fmt.Sprintf("the hash tree is damaged in the block at byte %d", tree)
			places[end-1] = fmt.Sprintf("the hash tree is damaged in the block at byte %d", end-4096)
		}
		for at, want := range places {
			flip(t, f, at)
			if err := Verify(f, p, 1); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d bytes, changed at %d: error %v, want %q", size, at, err, want)
			}
			flip(t, f, at)
		}
		other := p
		other.RootHash[0] ^= 1
		if err := Verify(f, other, 0); err == nil || !strings.Contains(err.Error(), "not the one for the root hash") {
			t.Errorf("%d bytes, another root hash: error %v", size, err)
		}
		if err := f.Truncate(end - 1); err != nil {
			t.Fatal(err)
		}
		if err := Verify(f, p, 0); err == nil || !strings.Contains(err.Error(), "read the hash tree at byte") {
			t.Errorf("%d bytes, cut off: error %v", size, err)
		}
	}
}

func flip(t *testing.T, f file, at int64) {
	t.Helper()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}
