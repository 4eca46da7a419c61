package payload

import (
	"archive/zip"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// zipTime is the time of all entries, the first that the format can tell.
var zipTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Source is what a payload is made of.
type Source struct {
	Programs map[string]string // files by program: InitAMD64 and so on
	GoSum    string            // file: go.sum of the modules that the executable is built of
}

// Write writes a payload to w, of which offset bytes, the executable, are written already. The same files give the same
// bytes.
func Write(w io.Writer, offset int64, s Source) error {
	entries := maps.Clone(s.Programs)
	entries[goSumName] = s.GoSum
	var sums strings.Builder
	names := slices.Sorted(maps.Keys(entries))
	for _, name := range names {
		sum, err := fileSum(entries[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum, name)
	}
	z := zip.NewWriter(w)
	z.SetOffset(offset) // so that unzip takes the whole file for an archive
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	if err := writeEntry(z, sumsName, strings.NewReader(sums.String())); err != nil {
		return err
	}
	for _, name := range names {
		if err := copyEntry(z, name, entries[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return z.Close()
}

func fileSum(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if n, err := io.Copy(h, f); err != nil || n > maxEntry {
		return nil, errors.Join(err, sizeError(file, n))
	}
	return h.Sum(nil), nil
}

func sizeError(file string, n int64) error {
	if n > maxEntry {
		return fmt.Errorf("%s has %d bytes; a program of the payload has %d at the most", file, n, maxEntry)
	}
	return nil
}

func copyEntry(z *zip.Writer, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeEntry(z, name, f)
}

func writeEntry(z *zip.Writer, name string, r io.Reader) error {
	mode := os.FileMode(0o755)
	if name == sumsName || name == goSumName {
		mode = 0o644
	}
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: zipTime}
	h.SetMode(mode)
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}
