package tempfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestLeft removes what nobody has locked, and nothing else.
func TestLeft(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".app.img.fledge-17", "app.fledge-17", ".app.fledge-", ".app.fledge-1x", ".fledge-17", ".app.17", "app.img"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, ".app.fledge-3", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app.img", filepath.Join(dir, ".link.fledge-4")); err != nil {
		t.Fatal(err)
	}
	file, err := Create(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := MakeFolder(filepath.Join(dir, "b")) // which leaves the file alone
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder.Path, "part"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // other files of other processes
		other, err := Create(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		other.Discard()
	}
	if err := file.Rename(filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(folder.Path, "part")); err != nil {
		t.Error(err)
	}
	if err := folder.Remove(); err != nil {
		t.Error(err)
	}
	want := []string{".app.17", ".app.fledge-", ".app.fledge-1x", ".fledge-17", ".link.fledge-4", "a", "app.fledge-17", "app.img"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
}

// TestAtOnce has many write the same file: all succeed, and nothing else is left.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 200 {
				f, err := Create(path)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.WriteString("whole"); err != nil {
					t.Error(err)
				}
				if err := f.Rename(path); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if got := names(t, dir); !slices.Equal(got, []string{"out"}) {
		t.Errorf("left are %q", got)
	}
	if b, err := os.ReadFile(path); string(b) != "whole" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestErrors names the folder that is not there.
func TestErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone", "out")
	if f, err := Create(path); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := MakeFolder(path); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v, %v", f, err)
	}
}
