package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// tarball makes a tar of regular files from names and contents in turn.
func tarball(t *testing.T, files ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, files[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// savedImage writes an archive as docker save does and returns its path and the config in it.
func savedImage(t *testing.T, diffIDs []string, layers ...string) (path, config string) {
	t.Helper()
	manifest := map[string]any{"Config": "config.json", "RepoTags": []string{"app:1"}}
	files := []string{}
	names := []string{}
	for i, l := range layers {
		names = append(names, fmt.Sprintf("%d/layer.tar", i))
		files = append(files, names[i], l)
		if len(diffIDs) <= i {
			diffIDs = append(diffIDs, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(l))))
		}
	}
	manifest["Layers"] = names
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	config = encode(map[string]any{"os": "linux", "architecture": "amd64",
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}})
	files = append(files, "config.json", config, "manifest.json", encode([]any{manifest}))
	path = filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, []byte(tarball(t, files...)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, config
}

func packLayout(t *testing.T, image string, more ...string) (dir, config string, err error) {
	t.Helper()
	out := t.TempDir()
	dir, config = filepath.Join(out, "packs"), filepath.Join(out, "config.json")
	args := append([]string{"--layout", image, "--out-dir", dir, "--config-out", config, "--level", "1"}, more...)
	err = runPackLayout(t.Context(), args, io.Discard)
	// Whatever happened, nothing else may lie around.
	left, _ := os.ReadDir(out)
	for _, f := range left {
		if f.Name() != "packs" && f.Name() != "config.json" || err != nil {
			t.Errorf("%s was left behind", f.Name())
		}
	}
	return dir, config, err
}

func TestPackLayout(t *testing.T) {
	image, config := savedImage(t, nil, tarball(t, "base", "base"), tarball(t, "app", "app", "more", "more"))
	dir, configOut, err := packLayout(t, image, "--platform", "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	packs, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		r, err := layerpack.Open(filepath.Join(dir, p.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range r.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			got[p.Name()] = append(got[p.Name()], e.Path)
		}
		r.Close()
	}
	if d := cmp.Diff(map[string][]string{"0000.pack": {"base"}, "0001.pack": {"app", "more"}}, got); d != "" {
		t.Error(d)
	}
	if raw, err := os.ReadFile(configOut); err != nil || string(raw) != config {
		t.Errorf("config %s, error %v", raw, err)
	}
}

func TestPackLayoutErrors(t *testing.T) {
	empty := tarball(t)
	good := tarball(t, "a", "b")
	wrong := fmt.Sprintf("sha256:%x", sha256.Sum256(nil))
	for _, tt := range []struct {
		name    string
		diffIDs []string
		layers  []string
		args    []string
		want    string
	}{
		{"no layers", nil, nil, nil, "empty image: there are no layers"},
		{"empty layers", nil, []string{empty, empty}, nil, "empty image: there is nothing in its layers"},
		{"wrong digest", []string{wrong}, []string{good}, nil, "layer " + wrong + ": has the digest "},
		{"digest explains damage", []string{wrong}, []string{good[:700]}, nil, "layer " + wrong + ": has the digest "},
		{"not a tar", nil, []string{strings.Repeat("x", 2000)}, nil, "unknown media type: "},
		{"other platform", nil, []string{good}, []string{"--platform", "linux/arm64"}, "holds no image for linux/arm64"},
		{"bad level", nil, []string{good}, []string{"--level", "99"}, "level"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image, _ := savedImage(t, tt.diffIDs, tt.layers...)
			_, _, err := packLayout(t, image, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestMoveTo moves to a folder that is empty, to none, and to one that has something in it, which stays as it is.
func TestMoveTo(t *testing.T) {
	for _, there := range []string{"empty", "gone"} {
		temp, dir := filepath.Join(t.TempDir(), "temp"), filepath.Join(t.TempDir(), "dir")
		for i := range 2 {
			if err := os.MkdirAll(temp, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(temp, fmt.Sprintf("000%d.pack", i)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if there == "empty" {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			err := moveTo(dir, temp)
			if want := dir + " is not empty: it holds 0000.pack"; i == 1 && (err == nil || err.Error() != want) || i == 0 && err != nil {
				t.Errorf("%s, move %d: error %v", there, i, err)
			}
		}
		if list, err := os.ReadDir(dir); len(list) != 1 || err != nil {
			t.Errorf("%s: %v, %v", there, list, err)
		}
	}
}

// TestPackLayoutOnBase packs an image with a base, and with one that is not its base.
func TestPackLayoutOnBase(t *testing.T) {
	dir := t.TempDir()
	layout := filepath.Join(dir, "image.tar")
	var members []imagetest.File
	var diffIDs []string
	names := []string{}
	for _, name := range []string{"base", "app"} {
		layer := imagetest.Tar(t, layerFile(name, name))
		members = append(members, layerFile(name+".tar", string(layer)))
		names = append(names, name+".tar")
		diffIDs = append(diffIDs, fmt.Sprintf("sha256:%x", sha256.Sum256(layer)))
	}
	config := func(ids ...string) string {
		return fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["%s"]}}`, strings.Join(ids, `","`))
	}
	members = append(members, layerFile("c.json", config(diffIDs...)),
		layerFile("manifest.json", fmt.Sprintf(`[{"Config": "c.json", "Layers": ["%s"]}]`, strings.Join(names, `","`))))
	if err := os.WriteFile(layout, imagetest.Tar(t, members...), 0o644); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.pack")
	if err := dispatch(t.Context(), []string{"pack-files", "--spec", writeSpec(t, dir), "--out", other}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, base, mark string
		packs            int
		links            int // files of the image with the other pack before it
	}{
		{"base", config(diffIDs[0]), onBase, 1, 2},
		{"itself", config(diffIDs...), onBase, 0, 1},
		{"other base", config(diffIDs[1]), complete, 2, 2},
		{"longer base", config(append(diffIDs, diffIDs[0])...), complete, 2, 2},
	} {
		base, out := filepath.Join(dir, c.name+".json"), filepath.Join(dir, c.name)
		if err := os.WriteFile(base, []byte(c.base), 0o644); err != nil {
			t.Fatal(err)
		}
		err := dispatch(t.Context(), []string{"pack-layout", "--layout", layout, "--base-config", base, "--out-dir", out,
			"--config-out", out + ".config"}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		packs, err := filepath.Glob(filepath.Join(out, "*.pack"))
		if err != nil || len(packs) != c.packs || !exists(filepath.Join(out, c.mark)) {
			t.Errorf("%s: %d packs, want %d and the mark %s", c.name, len(packs), c.packs, c.mark)
		}
		var log bytes.Buffer
		err = dispatch(t.Context(), []string{"rootfs", "--pack", other, "--pack", out, "--out", out + ".img"}, &log)
		if want := fmt.Sprintf(" %d files and", c.links); err != nil || !strings.Contains(log.String(), want) {
			t.Errorf("%s: %v, %q, want %q", c.name, err, log.String(), want)
		}
	}
}

// writeSpec writes a list of one file.
func writeSpec(t *testing.T, dir string) string {
	t.Helper()
	src, spec := filepath.Join(dir, "src"), filepath.Join(dir, "spec")
	for file, text := range map[string]string{src: "other", spec: fmt.Sprintf(`{"src": %q, "dest": "/other"}`, src)} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return spec
}
