package cpio

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	reader "github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
)

// entry is a header with its data.
type entry struct {
	h    Header
	data string
}

var everyKind = []entry{
	{Header{Name: "dev", Mode: TypeDir | 0o755, Inode: 1}, ""},
	{Header{Name: "dev/console", Mode: TypeChar | 0o600, Inode: 2, Major: 5, Minor: 1}, ""},
	{Header{Name: "dev/vda", Mode: TypeBlock | 0o660, Inode: 3, GID: 6, Major: 254, Minor: 0}, ""},
	{Header{Name: "f", Mode: TypeRegular | 0o4755, Inode: 4, UID: 1<<32 - 2, GID: 70000, ModTime: 1<<32 - 1}, "hello"},
	{Header{Name: "empty", Mode: TypeRegular, Inode: 5}, ""},
	{Header{Name: "link", Mode: TypeSymlink | 0o777, Inode: 6}, "dev/console"},
	{Header{Name: "a", Mode: TypeRegular | 0o644, Inode: 7, Links: 2}, ""},
	{Header{Name: "b", Mode: TypeRegular | 0o644, Inode: 7, Links: 2}, "shared"},
	{Header{Name: "fifo", Mode: TypeFIFO | 0o600, Inode: 8}, ""},
	{Header{Name: "sp ace\xff\n", Mode: TypeRegular | 0o600, Inode: 9}, "x"},
}

func archive(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, e := range entries {
		e.h.Size = int64(len(e.data))
		if err := w.WriteHeader(&e.h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGoldenBytes(t *testing.T) {
	got := archive(t, []entry{
		{Header{Name: "dev", Mode: TypeDir | 0o755, Inode: 1}, ""},
		{Header{Name: "dev/console", Mode: TypeChar | 0o600, Inode: 2, Major: 5, Minor: 1}, ""},
		{Header{Name: "init", Mode: TypeRegular | 0o755, Inode: 3, UID: 1, GID: 2, ModTime: 3}, "hello"},
	})
	want := "070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000002" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "dev\x00\x00\x00" +
		"070701" + "00000002" + "00002180" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000005" + "00000001" + "0000000C" + "00000000" + "dev/console\x00\x00\x00" +
		"070701" + "00000003" + "000081ED" + "00000001" + "00000002" + "00000001" + "00000003" + "00000005" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000005" + "00000000" + "init\x00\x00" + "hello\x00\x00\x00" +
		"070701" + "00000000" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "0000000B" + "00000000" + "TRAILER!!!\x00\x00\x00\x00"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("archive differs (-want +got):\n%s", diff)
	}
}

func TestReadBack(t *testing.T) {
	r := reader.NewReader(bytes.NewReader(archive(t, everyKind)))
	for _, e := range everyKind {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%q: %v", e.h.Name, err)
		}
		data := h.Linkname // the reader hands a symlink's data out as its Linkname
		if h.Linkname == "" {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("%q: %v", e.h.Name, err)
			}
			data = string(b)
		}
		want := entry{Header{Name: e.h.Name, Mode: e.h.Mode, Inode: e.h.Inode, UID: e.h.UID, GID: e.h.GID,
			ModTime: e.h.ModTime}, e.data}
		got := entry{Header{Name: h.Name, Mode: uint32(h.Mode), Inode: uint32(h.Inode), UID: uint32(h.Uid),
			GID: uint32(h.Guid), ModTime: uint32(h.ModTime.Unix())}, data}
		if got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last entry: %v, want EOF", err)
	}
}

// TestPeers lets GNU cpio and libarchive list the archive.
func TestPeers(t *testing.T) {
	entries := everyKind[:len(everyKind)-1] // names are printed escaped in ways that depend on the locale
	file := filepath.Join(t.TempDir(), "a.cpio")
	if err := os.WriteFile(file, archive(t, entries), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, peer := range [][]string{
		{"cpio", "-t", "--quiet", "-F", file},
		{"bsdtar", "-tf", file},
	} {
		t.Run(peer[0], func(t *testing.T) {
			if _, err := exec.LookPath(peer[0]); err != nil {
				t.Skipf("needs %s: %v", peer[0], err)
			}
			out, err := exec.Command(peer[0], peer[1:]...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var want []string
			for _, e := range entries {
				want = append(want, e.h.Name)
			}
			got := strings.Fields(strings.ReplaceAll(string(out), "/\n", "\n"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("names differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		h    Header
		want string
	}{
		{Header{Name: "", Mode: TypeRegular}, "empty name"},
		{Header{Name: "TRAILER!!!", Mode: TypeRegular}, "ends an archive"},
		{Header{Name: "a\x00b", Mode: TypeRegular}, "NUL byte"},
		{Header{Name: strings.Repeat("n", 4096), Mode: TypeRegular}, "at most 4095"},
		{Header{Name: "big", Mode: TypeRegular, Size: 1 << 32}, "4 GiB"},
		{Header{Name: "neg", Mode: TypeRegular, Size: -1}, "negative"},
		{Header{Name: "l", Mode: TypeSymlink, Size: 4097}, "at most 4096"},
		{Header{Name: "d", Mode: TypeDir, Size: 1}, "neither a file nor a symlink"},
	} {
		var b bytes.Buffer
		err := NewWriter(&b).WriteHeader(&tt.h)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.20q: error %v, want one about %q", tt.h.Name, err, tt.want)
		}
		if b.Len() != 0 {
			t.Errorf("%.20q: %d bytes written in spite of the error", tt.h.Name, b.Len())
		}
	}
}

func TestSizeMustMatch(t *testing.T) {
	w := NewWriter(io.Discard)
	if err := w.WriteHeader(&Header{Name: "f", Mode: TypeRegular, Size: 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "abc"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), `"f": 1 bytes less`) {
		t.Errorf("Close of a short entry: %v", err)
	}
	if _, err := io.WriteString(w, "de"); err == nil || !strings.Contains(err.Error(), `"f": 1 bytes more`) {
		t.Errorf("Write past the size: %v", err)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestWriteErrorSticks(t *testing.T) {
	w := NewWriter(&failing{after: 130})
	if err := w.WriteHeader(&Header{Name: "f", Mode: TypeRegular, Size: 40}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Write(make([]byte, 40)); err == nil || err.Error() != "disk full" {
			t.Errorf("Write: %v", err)
		}
	}
	if err := w.Close(); err == nil || err.Error() != "disk full" {
		t.Errorf("Close: %v", err)
	}
}
