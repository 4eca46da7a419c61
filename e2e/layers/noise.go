package layers

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// Noise is a layer of files of 100 KB in the folder dir, size bytes in all, that no compressor makes smaller, so that what is
// made of it is as large. The content follows from dir and seed.
func Noise(dir, seed string, size int64) Layer {
	return func(w *Writer) error {
		source := rand.NewChaCha8(sha256.Sum256([]byte(dir + "\x00" + seed)))
		for i, left := 0, size; left > 0; i++ {
			n := min(left, 100_000)
			h := &tar.Header{Name: fmt.Sprintf("%s/file%d", dir, i), Typeflag: tar.TypeReg, Mode: 0o644, Size: n, ModTime: time.Unix(1700000000, 0)}
			if err := w.Add(h, io.LimitReader(source, n)); err != nil {
				return err
			}
			left -= n
		}
		return nil
	}
}

// WriteTar writes a layer, uncompressed, as a file.
func WriteTar(path string, layer Layer) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := NewWriter(f)
	if err := layer(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}
