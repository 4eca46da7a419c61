package imagefile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fledge-build/fledge/internal/cpio"
)

// TestInterrupted ends a walk of what is in memory already.
func TestInterrupted(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.cpio")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := cpio.NewWriter(f)
	for _, file := range []string{"a", "b", "c"} {
		if err := w.WriteHeader(&cpio.Header{Name: file, Mode: cpio.TypeRegular | 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	im, err := Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	defer cancel(nil)
	why := errors.New("enough")
	var paths []string
	for e, err := range im.Walk(".") {
		if err != nil {
			if !errors.Is(err, why) || e != nil {
				t.Errorf("%v, %v", e, err)
			}
			paths = append(paths, "error")
			continue
		}
		paths = append(paths, e.Path)
		if e.Path == "a" {
			cancel(why)
		}
	}
	if len(paths) != 3 || paths[2] != "error" {
		t.Errorf("%q", paths)
	}
}
