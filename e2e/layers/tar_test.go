package layers

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"
	"time"
)

func TestAddSparse(t *testing.T) {
	const size = 1 << 20
	segments := []Segment{{Offset: 5, Data: []byte("five")}, {Offset: 70000, Data: bytes.Repeat([]byte("x"), 600)}}
	data, err := Tar(func(w *Writer) error {
		if err := w.Add(&tar.Header{Name: "before", Typeflag: tar.TypeReg, Size: 3}, bytes.NewReader([]byte("abc"))); err != nil {
			return err
		}
		sparse := &tar.Header{
			Name: "sparse\xff", Mode: 0o640, Uid: 4294967294, Gid: 7, Size: size, ModTime: time.Unix(12345, 0),
			PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"},
		}
		if err := w.AddSparse(sparse, segments); err != nil {
			return err
		}
		return w.Add(&tar.Header{Name: "after", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, size)
	for _, s := range segments {
		copy(want[s.Offset:], s.Data)
	}

	r := tar.NewReader(bytes.NewReader(data))
	for _, name := range []string{"before", "sparse\xff", "after"} {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != name {
			t.Fatalf("name %q, want %q", h.Name, name)
		}
		if name != "sparse\xff" {
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("content differs")
		}
		if h.Mode != 0o640 || h.Uid != 4294967294 || h.Gid != 7 || h.ModTime.Unix() != 12345 || h.PAXRecords["SCHILY.xattr.user.a"] != "b" {
			t.Errorf("header %+v", h)
		}
	}
}

func TestLayoutIsDeterministic(t *testing.T) {
	layer := func(w *Writer) error {
		return w.Add(&tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 100000}, bytes.NewReader(make([]byte, 100000)))
	}
	for _, c := range []Compression{None, Gzip, Zstd} {
		var names [2]string
		for i := range names {
			blobs := t.TempDir()
			descriptor, _, err := writeLayer(blobs, c, layer)
			if err != nil {
				t.Fatal(err)
			}
			names[i] = descriptor.Digest.String()
		}
		if names[0] != names[1] {
			t.Errorf("%s: %s and %s", c, names[0], names[1])
		}
	}
}
