package origin

import (
	"archive/tar"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// files writes files of some sizes below a new folder.
func files(t *testing.T, sizes map[string]int) string {
	t.Helper()
	dir := t.TempDir()
	for name, size := range sizes {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, artifacttest.Noise(size, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// stacked makes an image of four layers, with hard links, a replaced file, a whiteout and an opaque one.
func stacked(t *testing.T) (layout string) {
	t.Helper()
	type entries = map[string]int // sizes; 0 is a whiteout
	layer := func(files entries, links ...tar.Header) layers.Layer {
		return func(w *layers.Writer) error {
			for _, name := range slices.Sorted(maps.Keys(files)) {
				h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(files[name]), ModTime: time.Unix(1, 0)}
				if err := w.Add(h, bytes.NewReader(artifacttest.Noise(1, files[name]))); err != nil {
					return err
				}
			}
			for _, h := range links {
				if err := w.Add(&h, nil); err != nil {
					return err
				}
			}
			return nil
		}
	}
	hardLink := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
	}
	layout = filepath.Join(t.TempDir(), "layout")
	history := []v1.History{{CreatedBy: "base\n\x1b[1mfiles"}, {CreatedBy: "ENV A=b", EmptyLayer: true}, {}, {}, {}}
	err := layers.WriteLayoutHistory(layout, layers.Gzip, v1.ImageConfig{}, history,
		layer(entries{
			"usr/lib/a": 5000, "usr/lib/b": 100, "usr/lib/c.d": 30, "usr/lib/c/e": 40, "etc/conf": 10,
			"var/cache/x": 1000, "var/cache/y": 2000, "opt/old": 7,
		}, hardLink("usr/same", "usr/lib/a"), tar.Header{Name: "lib", Typeflag: tar.TypeSymlink, Linkname: "usr/lib"}),
		layer(entries{"etc/conf": 20}),
		layer(entries{"usr/lib/.wh.b": 0}, hardLink("usr/third", "lib/a")),
		layer(entries{"var/cache/z": 50, "var/cache/.wh..wh..opq": 0}))
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// get gives an image as the command gets it.
func get(t *testing.T, reference string) *pull.Image {
	t.Helper()
	ref, err := pull.ParseReference(reference, "")
	if err != nil {
		t.Fatal(err)
	}
	c := &pull.Client{Cache: t.TempDir()}
	im, err := c.Pull(t.Context(), ref, "", "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

// link has Fledge make an image of a kind of the layers, with a folder on top.
func link(t *testing.T, im *pull.Image, kind, added string) string {
	t.Helper()
	spec, err := packing.Codec(kind, "gzip", 0)
	if err != nil {
		t.Fatal(err)
	}
	settings := packing.Settings{Kind: kind, Codec: spec, BlockSize: 4096}
	var packs []string
	var stack []linking.Layer
	for _, l := range im.Layers {
		f, err := os.Create(filepath.Join(t.TempDir(), "pack"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := settings.Write(f, func(to layerpack.Adder) error {
			return packing.AddLayer(t.Context(), to, l.Open, l.Digest, l.Size, 0)
		}); err != nil {
			t.Fatal(err)
		}
		packs = append(packs, f.Name())
	}
	packs = append(packs, artifacttest.Pack(t, added, settings))
	for _, pack := range packs {
		stack = append(stack, linking.Layer{Pack: pack})
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if kind == packing.Initramfs {
		_, err = linking.Initramfs(t.Context(), out, stack, linking.InitramfsOptions{Codec: spec})
	} else {
		_, err = linking.Rootfs(t.Context(), out, packs, linking.RootfsOptions{Filesystem: kind, Codec: spec, BlockSize: 4096, TempDir: t.TempDir()})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func open(t *testing.T, name string) *imagefile.Image {
	t.Helper()
	im, err := imagefile.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

func TestFind(t *testing.T) {
	layout := stacked(t)
	im := get(t, "oci:"+layout+":latest")
	rootfs := unpack(t, layout)
	agent := files(t, map[string]int{"bin/kestrel": 300})
	replaces := files(t, map[string]int{"bin/kestrel": 300, "opt": 9})
	base := Layer{Files: 4, Bytes: 5077, HiddenFiles: 4, HiddenBytes: 3110}
	baseLess := Layer{Files: 3, Bytes: 5070, HiddenFiles: 5, HiddenBytes: 3117}
	for name, c := range map[string]struct {
		image    string
		base     Layer
		added    Layer
		replaced int
	}{
		"Fledge's squashfs":                    {link(t, im, packing.Squashfs, agent), base, Layer{Files: 1, Bytes: 300}, 0},
		"Fledge's initramfs":                   {link(t, im, packing.Initramfs, agent), base, Layer{Files: 1, Bytes: 300}, 0},
		"squashfs, a folder is a file":         {link(t, im, packing.Squashfs, replaces), baseLess, Layer{Files: 2, Bytes: 309}, 2},
		"initramfs, a folder is a file":        {link(t, im, packing.Initramfs, replaces), baseLess, Layer{Files: 2, Bytes: 309}, 2},
		"mksquashfs of what umoci unpacked":    {artifacttest.Squashfs(t, rootfs), base, Layer{}, 0},
		"cpio of what umoci unpacked":          {artifacttest.CPIO(t, rootfs, "newc"), base, Layer{}, 0},
		"one with a file that has other bytes": {artifacttest.Squashfs(t, changed(t, layout)), baseLess, Layer{Files: 1, Bytes: 8}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, c.image)
			r, err := Find(t.Context(), a, im, "app")
			if err != nil {
				t.Fatal(err)
			}
			want := []Layer{c.base, {Files: 1, Bytes: 20}, {}, {Files: 1, Bytes: 50}, c.added}
			if diff := cmp.Diff(want, r.Layers, cmpopts.IgnoreFields(Layer{}, "Name", "Digest", "Size", "CreatedBy", "Stored")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if r.Replaced != c.replaced || r.Digest != im.Digest || r.Image != "app" || r.Layers[0].CreatedBy != "base\n\x1b[1mfiles" ||
				r.Layers[3].Digest != im.Layers[3].Digest || r.Layers[3].Name != "layer 4 of 4" || r.Layers[4].Name != Added {
				t.Errorf("%+v", r)
			}
			checkEntries(t, a, r)
		})
	}
}

// checkEntries compares the layers of entries with the rows.
func checkEntries(t *testing.T, a *imagefile.Image, r *Report) {
	t.Helper()
	n, stored := 0, int64(0)
	want := map[string]int{"etc/conf": 1, "usr/lib/a": 0, "usr/same": 0, "lib": 0, "var/cache/z": 3, "bin/kestrel": 4}
	seen := map[uint64]bool{}
	for e, err := range a.Walk(".") {
		if err != nil {
			t.Fatal(err)
		}
		if layer, ok := want[e.Path]; ok && r.LayerOf(n) != layer {
			t.Errorf("%s is of %d", e.Path, r.LayerOf(n))
		}
		n++
		if !seen[e.Inode] {
			stored += e.Stored
		}
		seen[e.Inode] = true
	}
	for _, l := range r.Layers {
		stored -= l.Stored
	}
	if n != len(r.layers) || stored != 0 {
		t.Errorf("%d entries, %d have layers; %d stored bytes are in no row", n, len(r.layers), stored)
	}
}

// unpack has umoci unpack an image.
func unpack(t *testing.T, layout string) (rootfs string) {
	t.Helper()
	imagetest.NeedRoot(t, "umoci")
	bundle := filepath.Join(t.TempDir(), "bundle")
	imagetest.Run(t, "umoci", "unpack", "--image", layout+":latest", bundle)
	return filepath.Join(bundle, "rootfs")
}

// changed is what umoci unpacks, with a file changed.
func changed(t *testing.T, layout string) string {
	t.Helper()
	rootfs := unpack(t, layout)
	if err := os.WriteFile(filepath.Join(rootfs, "opt/old"), []byte("8 bytes."), 0o644); err != nil {
		t.Fatal(err)
	}
	return rootfs
}

// write makes an image of one layer with files.
func write(t *testing.T, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	err := layers.WriteLayout(dir, layers.Gzip, v1.ImageConfig{}, func(w *layers.Writer) error {
		for _, name := range names {
			if err := w.Add(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 4, ModTime: time.Unix(1, 0)},
				strings.NewReader("text")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestErrors(t *testing.T) {
	image := artifacttest.Squashfs(t, files(t, map[string]int{"a": 4, "b": 5, "c": 6, "d\n": 7}))
	damaged := write(t, "a")
	blobs, err := layers.Blobs(damaged)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(blobs[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-5] ^= 1 // gzip's checksum
	if err := os.WriteFile(blobs[0], content, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, layout := range map[string]string{
		"": write(t, "a", "b"),
		`of the image's 3 files and directories 1 are missing and 0 are others, first "x"`: write(t, "a", "x"),
		`of the image's 4 files and directories 0 are missing and 3 are others, first "b"`: write(t, "b", "c", "d\n"),
		`of the image's 5 files and directories 0 are missing and 3 are others, first "b"`: write(t, "a", "b", "d\n/.x\xff"),
		`entry "../x"`: write(t, "../x"),
		"the image is empty: its layers leave no file": write(t),
		"digest": damaged,
	} {
		r, err := Find(t.Context(), open(t, image), get(t, "oci:"+layout), "app")
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "app")) {
			t.Errorf("%+v, error %v, want %q", r, err, want)
		}
	}
}

func TestOrder(t *testing.T) {
	order := []string{".", "a", "a/b", "a/b/c", "a/b!", "a/bc", "a ", "a.b", "a.b/c", "aa", "b", "\xff"}
	for i, a := range order {
		for k, b := range order {
			if before(a, b) != (i < k) {
				t.Errorf("before(%q, %q) = %t", a, b, i >= k)
			}
		}
	}
}
