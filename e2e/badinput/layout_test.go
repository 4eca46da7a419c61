package badinput

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/layers"
)

// image is a good layout, which a test then spoils: the paths of its files and their contents.
type image struct {
	dir, manifest, config, layer string
}

func newImage(t *testing.T, dir string, stack ...layers.Layer) image {
	t.Helper()
	im := image{dir: filepath.Join(dir, "layout")}
	if err := layers.WriteLayout(im.dir, layers.Gzip, v1.ImageConfig{Cmd: []string{"/run"}}, stack...); err != nil {
		t.Fatal(err)
	}
	blobs, err := filepath.Glob(filepath.Join(im.dir, "blobs/sha256/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range blobs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch text := string(data); {
		case strings.Contains(text, `"layers":[`):
			im.manifest = path
		case strings.Contains(text, `"architecture"`):
			im.config = path
		default:
			im.layer = path
		}
	}
	return im
}

// edit replaces a text in the manifest, and the manifest's digest and size in the index.
func (im image) edit(t *testing.T, old, new string) {
	t.Helper()
	data, err := os.ReadFile(im.manifest)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("no %q in %s", old, data)
	}
	im.setManifest(t, strings.Replace(string(data), old, new, 1))
}

func (im image) setManifest(t *testing.T, text string) {
	t.Helper()
	d := digest.FromString(text)
	write(t, filepath.Join(filepath.Dir(im.manifest), d.Encoded()), []byte(text))
	index := `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"digest":"` + d.String() + `","size":` + strconv.Itoa(len(text)) + `,"platform":{"os":"linux","architecture":"amd64"}}]}`
	write(t, filepath.Join(im.dir, "index.json"), []byte(index))
}

func oneFile(w *layers.Writer) error {
	h := file("run")
	h.Size = 4
	return w.Add(&h, strings.NewReader("body"))
}

func noEntries(*layers.Writer) error { return nil }

func TestBadLayout(t *testing.T) {
	// spoiled packs a layout of one layer after spoil has been at it.
	spoiled := func(spoil func(t *testing.T, im image), flags ...string) job {
		return func(t *testing.T, dir, out string) []string {
			im := newImage(t, dir, oneFile)
			spoil(t, im)
			args := []string{"pack-layout", "--layout", im.dir, "--level", "1", "--out-dir", filepath.Join(out, "packs")}
			return append(append(args, "--config-out", filepath.Join(out, "config.json")), flags...)
		}
	}
	index := func(text string) job {
		return spoiled(func(t *testing.T, im image) { write(t, filepath.Join(im.dir, "index.json"), []byte(text)) })
	}
	edited := func(old, new string) job {
		return spoiled(func(t *testing.T, im image) { im.edit(t, old, new) })
	}
	damaged := func(change func([]byte) []byte) job {
		return spoiled(func(t *testing.T, im image) {
			data, err := os.ReadFile(im.layer)
			if err != nil {
				t.Fatal(err)
			}
			write(t, im.layer, change(data))
		})
	}
	run(t, []badInput{
		{"no image in the index", index(`{"schemaVersion":2,"manifests":[]}`), []string{"layout"}},
		{"an index that is not JSON", index("{"), []string{"index.json"}},
		{"an index that is empty", index(""), []string{"index.json"}},
		{"a digest that is a path", index(`{"schemaVersion":2,"manifests":[{"mediaType":` +
			`"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../../etc/passwd","size":3}]}`), []string{"../../../etc/passwd"}},
		{"an unknown manifest media type", index(`{"schemaVersion":2,"manifests":[{"mediaType":"text/plain","digest":"sha256:` +
			strings.Repeat("0", 64) + `","size":3}]}`), []string{"text/plain"}},
		{"an unknown layer media type", edited(v1.MediaTypeImageLayerGzip, "application/x-lzma-layer"), []string{"application/x-lzma-layer"}},
		{"another platform", spoiled(func(*testing.T, image) {}, "--platform", "plan9/mips"), []string{"plan9/mips", "linux/amd64"}},
		{"a manifest without layers", edited(`"layers":[`, `"layers":[],"x":[`), []string{"layer"}},
		{"a negative size", edited(`"size":`, `"size":-`), []string{"size"}},
		{"a missing layer", spoiled(func(t *testing.T, im image) {
			if err := os.Remove(im.layer); err != nil {
				t.Fatal(err)
			}
		}), []string{"sha256"}},
		{"a damaged layer", damaged(func(b []byte) []byte { return flip(b, len(b)/2) }), []string{"sha256"}},
		{"a layer cut off", damaged(func(b []byte) []byte { return b[:len(b)/2] }), []string{"sha256"}},
		{"a layer with more behind it", damaged(func(b []byte) []byte { return append(b, 0) }), []string{"sha256"}},
		{"a damaged config", spoiled(func(t *testing.T, im image) { write(t, im.config, []byte("{}")) }), []string{"sha256"}},
		{"not a layout", spoiled(func(t *testing.T, im image) {
			if err := os.RemoveAll(filepath.Join(im.dir, "index.json")); err != nil {
				t.Fatal(err)
			}
		}), []string{"index.json"}},
	})
}

func TestBadArchive(t *testing.T) {
	archive := func(data []byte) job {
		return func(t *testing.T, dir, out string) []string {
			path := write(t, filepath.Join(dir, "image.tar"), data)
			return []string{
				"pack-layout", "--layout", path, "--out-dir", filepath.Join(out, "packs"), "--config-out", filepath.Join(out, "config.json"),
			}
		}
	}
	run(t, []badInput{
		{"empty", archive(nil), []string{"image.tar"}},
		{"text", archive([]byte(strings.Repeat("not an image\n", 100))), []string{"image.tar"}},
		{"a layer instead of an image", archive(layer(file("etc/passwd"))), []string{"image.tar", "index.json"}},
		{"cut off", archive(cut(large(), 1000)), []string{"image.tar"}},
	})
}

// An image whose layers have no entries is no root file system.
func TestEmptyImage(t *testing.T) {
	run(t, []badInput{{"one empty layer", func(t *testing.T, dir, out string) []string {
		im := newImage(t, dir, noEntries)
		return []string{
			"pack-layout", "--layout", im.dir, "--out-dir", filepath.Join(out, "packs"), "--config-out", filepath.Join(out, "config.json"),
		}
	}, []string{"layout", "empty image"}}})
}
