package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestClean(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	if n, err := Clean(dir); n != 0 || err != nil {
		t.Errorf("no folder: %d, %v", n, err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(dir) // another build
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range folders {
		write(t, filepath.Join(dir, name, "x", "y"), "12345")
	}
	if err := os.Link(filepath.Join(dir, "buildkit/x/y"), filepath.Join(dir, "buildkit/z")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "mine"), "mine")
	write(t, filepath.Join(dir, "..", "target"), "target")
	if err := os.Symlink("../../target", filepath.Join(dir, "packs", "link")); err != nil {
		t.Fatal(err)
	}
	for _, open := range []*Store{s, other} {
		if _, err := Clean(dir); err == nil || !strings.Contains(err.Error(), "store: a build is using it; wait until it is done") {
			t.Errorf("error %v", err)
		}
		if err := open.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := Clean(dir); n != int64(5*len(folders)) || err != nil {
		t.Errorf("freed %d, %v", n, err)
	}
	if got, want := files(t, filepath.Dir(dir)), []string{"store/CACHEDIR.TAG", "store/mine", "target"}; !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	if s, err = Open(dir); err != nil || s.Close() != nil {
		t.Errorf("not to be used again: %v", err)
	}
}

// TestForeign leaves alone what fledge did not make, such as an OCI layout, which has blobs too.
func TestForeign(t *testing.T) {
	for name, tag := range map[string]string{"none": "", "another's": "Signature: 8a477f597d28d172789f06886806bc55\n# by cargo\n"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "blobs/sha256/0"), "blob")
		if tag != "" {
			write(t, filepath.Join(dir, tagName), tag)
		}
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := Clean(dir); err == nil || !strings.Contains(err.Error(), "is no folder that fledge made") {
			t.Errorf("%s: error %v", name, err)
		}
		if !slices.Contains(files(t, dir), "blobs/sha256/0") {
			t.Errorf("%s: the blob is gone", name)
		}
	}
}

// TestTagNeverWhole opens a folder in which a process was killed before its tag was whole: it is fledge's all the same.
func TestTagNeverWhole(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".CACHEDIR.TAG.fledge-17"), "Signa")
	if n, err := Clean(dir); n != 0 || err != nil { // as a process finds it that cleans just when another makes it
		t.Errorf("freed %d, %v", n, err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Clean(dir); err == nil || !strings.Contains(err.Error(), "a build is using it") {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"CACHEDIR.TAG"}) {
		t.Errorf("left are %q", got)
	}
}

// TestOpenAtOnce has many open a new folder: as long as one of them does, nothing cleans it.
func TestOpenAtOnce(t *testing.T) {
	for range 50 {
		dir := filepath.Join(t.TempDir(), "store")
		var opening sync.WaitGroup
		stores := make([]*Store, 8)
		for i := range stores {
			opening.Go(func() {
				var err error
				if stores[i], err = Open(dir); err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
		if t.Failed() {
			return
		}
		for _, s := range stores {
			if _, err := Clean(dir); err == nil || !strings.Contains(err.Error(), "a build is using it") {
				t.Fatalf("error %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
