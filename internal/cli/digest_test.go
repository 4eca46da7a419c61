package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestWriteFileWithDigest writes, reads back and appends, in pieces that are collected and in such that are not.
func TestWriteFileWithDigest(t *testing.T) {
	for _, size := range []int{1, 1000, hashBuffer - 1, hashBuffer, 3*hashBuffer + 5} {
		dir := t.TempDir()
		out, digestOut := filepath.Join(dir, "out"), filepath.Join(dir, "digest")
		front := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		back := []byte("appended")
		digest, err := WriteFileWithDigest(out, digestOut, func(o *Output) error {
			if _, err := o.Write(front); err != nil {
				return err
			}
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() {
					got := make([]byte, size)
					if n, err := o.ReadAt(got, 0); n != size || !bytes.Equal(got, front) {
						t.Errorf("of %d bytes, read back %d, %v", size, n, err)
					}
				})
			}
			readers.Wait()
			if n, sum, err := o.Written(); n != int64(size) || sum != sha256.Sum256(front) || err != nil {
				t.Errorf("of %d bytes, written %d, %x, %v", size, n, sum, err)
			}
			_, err := o.Write(back)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		all := append(front, back...)
		want := fmt.Sprintf("sha256:%x", sha256.Sum256(all))
		if got, err := os.ReadFile(out); !bytes.Equal(got, all) || err != nil {
			t.Errorf("%d bytes: the file has %d, %v", size, len(got), err)
		}
		if got, err := os.ReadFile(digestOut); string(got) != want+"\n" || digest != want || err != nil {
			t.Errorf("%d bytes: digest %s, in the file %q, want %s, %v", size, digest, got, want, err)
		}
	}
}

// TestWriteFileWithDigestFails holds that nothing is left behind.
func TestWriteFileWithDigestFails(t *testing.T) {
	dir := t.TempDir()
	failure := errors.New("no")
	_, err := WriteFileWithDigest(filepath.Join(dir, "out"), filepath.Join(dir, "digest"), func(o *Output) error {
		if _, err := o.Write([]byte("half")); err != nil {
			return err
		}
		if _, _, err := o.Written(); err != nil {
			return err
		}
		return failure
	})
	if err != failure {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
