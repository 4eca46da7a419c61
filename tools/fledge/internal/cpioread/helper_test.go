package cpioread

import (
	"bytes"
	"io"
	"testing"

	"github.com/fledge-build/fledge/internal/cpio"
)

// entry is a record for pack.
type entry struct {
	cpio.Header
	data string
}

func file(name, data string) entry {
	return entry{cpio.Header{Name: name, Mode: cpio.TypeRegular | 0o644, ModTime: 7}, data}
}

func dir(name string) entry { return entry{cpio.Header{Name: name, Mode: cpio.TypeDir | 0o755}, ""} }

func symlink(name, target string) entry {
	return entry{cpio.Header{Name: name, Mode: cpio.TypeSymlink | 0o777}, target}
}

// hard is a name of the inode with a number.
func hard(name string, inode uint32, data string) entry {
	e := file(name, data)
	e.Inode, e.Links = inode, 2
	return e
}

func device(name string, minor uint32) entry {
	return entry{cpio.Header{Name: name, Mode: cpio.TypeChar | 0o600, Major: 1, Minor: minor}, ""}
}

// pack makes an archive.
func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.data))
		if err := w.WriteHeader(&e.Header); err != nil {
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
