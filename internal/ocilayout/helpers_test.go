package ocilayout

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type object = map[string]any

// memory is a layout in memory.
type memory map[string][]byte

func (m memory) open(name string) (io.ReadCloser, int64, error) {
	b, ok := m[name]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

func (memory) Close() error { return nil }

// add stores a blob and returns its descriptor.
func (m memory) add(mediaType string, b []byte) object {
	d := digestOf(b)
	m["blobs/sha256/"+strings.TrimPrefix(d, "sha256:")] = b
	return object{"mediaType": mediaType, "digest": d, "size": len(b)}
}

func (m memory) addJSON(mediaType string, v any) object { return m.add(mediaType, toJSON(v)) }

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (m memory) index(manifests ...object) memory {
	m["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	m["index.json"] = toJSON(object{"schemaVersion": 2, "manifests": manifests})
	return m
}

func configFor(arch string, layers ...[]byte) object {
	ids := make([]string, len(layers))
	for i, l := range layers {
		ids[i] = digestOf(l)
	}
	return object{"os": "linux", "architecture": arch, "rootfs": object{"type": "layers", "diff_ids": ids},
		"config": object{"Entrypoint": []string{"/bin/app"}}}
}

// image adds an image with gzip layers and returns the descriptor of its manifest.
func (m memory) image(arch string, layers ...[]byte) object {
	descs := []object{}
	for _, l := range layers {
		descs = append(descs, m.add(typeOCILayer+"+gzip", gzipped(l)))
	}
	return m.addJSON(typeOCIManifest, object{"schemaVersion": 2, "mediaType": typeOCIManifest, "layers": descs,
		"config": m.addJSON(typeOCIConfig, configFor(arch, layers...))})
}

func with(o object, key string, value any) object {
	c := object{key: value}
	for k, v := range o {
		if k != key {
			c[k] = v
		}
	}
	return c
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func gunzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// layerTar makes a small layer with one file.
func layerTar(name, content string) []byte {
	return tarOf(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}, content)
}

func tarOf(parts ...any) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, p := range parts {
		switch p := p.(type) {
		case *tar.Header:
			if err := w.WriteHeader(p); err != nil {
				panic(err)
			}
		case string:
			io.WriteString(w, p)
		}
	}
	w.Close()
	return out.Bytes()
}

// tar writes the layout as an archive.
func (m memory) tar() []byte {
	var parts []any
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, &tar.Header{Name: name, Mode: 0o644, Size: int64(len(m[name])), Typeflag: tar.TypeReg},
			string(m[name]))
	}
	return tarOf(parts...)
}

// dir writes the layout as a directory of symlinks, as Bazel lays out the inputs of an action.
func (m memory) dir(t *testing.T) string {
	t.Helper()
	store, links := t.TempDir(), t.TempDir()
	for name, b := range m {
		for _, d := range []string{store, links} {
			if err := os.MkdirAll(filepath.Join(d, filepath.Dir(name)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(store, name), b, 0o444); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(store, name), filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	return links
}

func writeFile(t *testing.T, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// contents opens the image and returns the uncompressed layers, with every digest verified.
func contents(t *testing.T, path, platform string) [][]byte {
	t.Helper()
	im, err := Open(path, platform)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	var out [][]byte
	for _, l := range im.Layers() {
		r, err := l.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(b, []byte("\x1f\x8b")) {
			b = gunzipped(t, b)
		}
		if d := digestOf(b); d != l.DiffID {
			t.Errorf("layer %s has diff ID %s, not %s", l.Digest, d, l.DiffID)
		}
		out = append(out, b)
	}
	return out
}
