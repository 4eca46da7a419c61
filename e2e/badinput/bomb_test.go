package badinput

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// bomb is a layer with one file of about size bytes that repeats pattern, compressed by encode in pieces that are
// generated once: gzip members and zstd frames follow each other in a file.
func bomb(size int64, pattern []byte, encode func([]byte) []byte) job {
	return func(t *testing.T, dir, out string) []string {
		const piece = 64 << 20
		pieces := size / piece
		var header bytes.Buffer
		h := &tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Mode: 0o644, Size: pieces * piece, Format: tar.FormatPAX}
		if err := tar.NewWriter(&header).WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "layer.blob")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		body := encode(bytes.Repeat(pattern, piece/len(pattern)))
		parts := [][]byte{encode(header.Bytes())}
		for range pieces {
			parts = append(parts, body)
		}
		parts = append(parts, encode(make([]byte, 1024)))
		for _, part := range parts {
			if _, err := f.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 11<<20 {
			t.Fatalf("the bomb takes %d bytes", info.Size())
		}
		return []string{"pack", "--layer", path, "--level", "1", "--out", filepath.Join(out, "layer.pack")}
	}
}

// 10 GB in 10 MB or less.
func TestBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks gigabytes")
	}
	const size = 10 << 30
	zeros, ones, pattern := []byte{0}, []byte{0xff}, []byte("all work and no play makes a dull layer. 123456789 abcdefghijkl\n")
	run(t, []badInput{
		{"zeros in gzip", bomb(size, zeros, gzipped), []string{"layer.blob", "--max-unpacked-size"}},
		{"zeros in zstd", bomb(size, zeros, zstded), []string{"layer.blob", "--max-unpacked-size"}},
		{"ones in gzip", bomb(size, ones, gzipped), []string{"layer.blob", "--max-unpacked-size"}},
		{"a pattern in zstd", bomb(size, pattern, zstded), []string{"layer.blob", "--max-unpacked-size"}},
	})
}
