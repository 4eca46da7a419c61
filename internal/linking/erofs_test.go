package linking

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
)

// From layers to an image by the kind's settings alone: what fsck.erofs reads is what was packed.
func TestErofs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"none", "lz4"} {
		spec, err := packing.Codec(packing.Erofs, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		settings := packing.Settings{Kind: packing.Erofs, Codec: spec}
		var packs []string
		for _, text := range []string{"first", "second"} {
			packs = append(packs, packFile(t, settings, dir, "app", text, fstree.Xattr{Name: "odd.name"}))
			packs = append(packs, packFile(t, settings, dir, text, text))
		}
		image := filepath.Join(dir, "image")
		out, err := os.Create(image)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		o := RootfsOptions{Filesystem: packing.Erofs, Codec: spec, Required: []string{"/app"}}
		stats, err := Rootfs(context.Background(), out, packs, o)
		if err != nil {
			t.Fatal(err)
		}
		want := `dropped 1 extended attributes, the first "odd.name" of "/app": erofs stores those of the namespaces user, ` +
			`trusted and security, and POSIX ACLs that Linux accepts for such a file`
		if got := stats.Warnings; !slices.Equal(got, []string{want}) {
			t.Errorf("warnings %q", got)
		}
		o.Required = []string{"/missing"}
		if _, err := Rootfs(context.Background(), &strings.Builder{}, packs, o); err == nil ||
			!strings.Contains(err.Error(), "/missing is not an executable file of the image") {
			t.Errorf("error %v", err)
		}
		t.Run("fsck.erofs "+name, func(t *testing.T) {
			imagetest.Need(t, "fsck.erofs")
			root := filepath.Join(t.TempDir(), "root")
			imagetest.Run(t, "fsck.erofs", "--extract="+root, image)
			for file, text := range map[string]string{"app": "second", "first": "first", "second": "second"} {
				if got, err := os.ReadFile(filepath.Join(root, file)); string(got) != text {
					t.Errorf("%s is %q, error %v", file, got, err)
				}
			}
		})
	}
	if _, err := packing.Codec(packing.Erofs, "zstd", 0); err == nil || !strings.Contains(err.Error(), "use lz4") {
		t.Errorf("error %v", err)
	}
}

// packFile makes a pack of one program and gives its path.
func packFile(t *testing.T, s packing.Settings, dir, name, text string, xattrs ...fstree.Xattr) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "pack")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := s.Write(f, func(to layerpack.Adder) error {
		e := fstree.Entry{Path: name, Type: fstree.Regular, Mode: 0o755, Xattrs: xattrs}
		return to.Add(e, strings.NewReader(text), int64(len(text)))
	})
	if err == nil {
		err = s.Check(f.Name())
	}
	if err != nil || n != 1 {
		t.Fatalf("%d entries, error %v", n, err)
	}
	return f.Name()
}
