package sparsefile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever the pieces, the file has the bytes, and no blocks for zeros.
func TestWriter(t *testing.T) {
	want := make([]byte, 100*blockSize+17)
	copy(want[3*blockSize:], "block 3")
	copy(want[50*blockSize-3:], "on a border")
	for _, piece := range []int{1, 100, blockSize, blockSize + 1, 10 * blockSize, len(want)} {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		w := New(f)
		for b := want; len(b) > 0; b = b[min(piece, len(b)):] {
			if n, err := w.Write(b[:min(piece, len(b))]); err != nil || n != min(piece, len(b)) {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("pieces of %d bytes: other bytes, %v", piece, err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Blocks > 3*blockSize/512 {
			t.Errorf("pieces of %d bytes: %d blocks of 512, want those of 3 blocks of 4096, %v", piece, st.Blocks, err)
		}
		f.Close()
	}
}
