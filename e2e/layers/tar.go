// Package layers writes OCI layers and image layouts for tests and benchmarks: every kind of tar entry, sparse files of
// the PAX format included.
package layers

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

const tarBlock = 512

// Segment is a piece of data in a sparse file; everything between segments is a hole.
type Segment struct {
	Offset int64
	Data   []byte
}

// Writer writes one layer's tar stream.
type Writer struct {
	out io.Writer
	tar *tar.Writer
}

// NewWriter returns a Writer that writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{out: w, tar: tar.NewWriter(w)} }

// Close writes the end of the archive.
func (w *Writer) Close() error { return w.tar.Close() }

// Add writes an entry in the PAX format, so that no name, number or attribute is cut. body gives h.Size bytes.
func (w *Writer) Add(h *tar.Header, body io.Reader) error {
	header := *h
	header.Format = tar.FormatPAX
	if err := w.tar.WriteHeader(&header); err != nil {
		return fmt.Errorf("tar entry %q: %w", h.Name, err)
	}
	if body == nil {
		return nil
	}
	if _, err := io.Copy(w.tar, body); err != nil {
		return fmt.Errorf("tar entry %q: %w", h.Name, err)
	}
	return nil
}

// AddSparse writes a regular file of h.Size bytes of which only the segments are data, as GNU tar does with
// --format=pax --sparse (sparse format 1.0: the map precedes the data). Go's archive/tar reads such entries but cannot
// write them. Segments are in order, do not overlap and end within h.Size.
func (w *Writer) AddSparse(h *tar.Header, segments []Segment) error {
	data := sparseMap(segments)
	for _, s := range segments {
		data = append(data, s.Data...)
	}
	records := map[string]string{
		"GNU.sparse.major":    "1",
		"GNU.sparse.minor":    "0",
		"GNU.sparse.name":     h.Name,
		"GNU.sparse.realsize": strconv.FormatInt(h.Size, 10),
		"mtime":               strconv.FormatInt(h.ModTime.Unix(), 10),
		"uid":                 strconv.Itoa(h.Uid),
		"gid":                 strconv.Itoa(h.Gid),
	}
	for name, value := range h.PAXRecords {
		records[name] = value
	}
	pax := sortedRecords(records)
	var out bytes.Buffer
	out.Write(Raw{Name: "././@PaxHeader", Type: tar.TypeXHeader, Mode: Octal(0o644, 8)}.Entry(string(pax)))
	out.Write(Raw{Name: "GNUSparseFile.0", Type: tar.TypeReg, Mode: Octal(h.Mode, 8)}.Entry(string(data)))
	if err := w.AddRaw(out.Bytes()); err != nil {
		return fmt.Errorf("tar entry %q: %w", h.Name, err)
	}
	return nil
}

// AddRaw writes whole tar blocks as they are: what Raw makes.
func (w *Writer) AddRaw(blocks []byte) error {
	if err := w.tar.Flush(); err != nil {
		return err
	}
	_, err := w.out.Write(blocks)
	return err
}

// sparseMap is the map in front of a sparse file's data: decimal numbers, each on a line, padded to a tar block.
func sparseMap(segments []Segment) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d\n", len(segments))
	for _, s := range segments {
		fmt.Fprintf(&b, "%d\n%d\n", s.Offset, len(s.Data))
	}
	return pad(b.Bytes())
}

func pad(b []byte) []byte {
	if rest := len(b) % tarBlock; rest != 0 {
		b = append(b, make([]byte, tarBlock-rest)...)
	}
	return b
}

// sortedRecords renders extended header records in the order of their keys.
func sortedRecords(records map[string]string) []byte {
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(records)) {
		b = append(b, Record(k, records[k])...)
	}
	return b
}
