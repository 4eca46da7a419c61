package main

import (
	"archive/tar"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/registrytest"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
)

// writeImage makes a layout of one layer, with a file that writeArchive's has too, and others.
func writeImage(t *testing.T, others ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	err := layers.WriteLayoutHistory(dir, layers.Gzip, v1.ImageConfig{}, []v1.History{{CreatedBy: "COPY\tf\x1b[1m /"}},
		func(w *layers.Writer) error {
			for _, name := range append(others, "f") {
				h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 4}
				if err := w.Add(h, strings.NewReader("text")); err != nil {
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

// TestInspectLayers compares with an image in a layout.
func TestInspectLayers(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "app.cpio")
	writeArchive(t, archive, "text")
	cache := t.TempDir()
	args := []string{"inspect", archive, "--cache", cache, "--image", "oci:" + writeImage(t)}
	text, _, err := fledge(t, args...)
	for _, want := range []string{
		"\nLayers of oci:", "STORED         SIZE    FILES       HIDDEN    FILES  LAYER\n             4            4        1            0        0  sha256:",
		` COPY f\033[1m /` + "\n             0            0        0            0        0  from no layer, added",
	} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("error %v, no %q in\n%s", err, want, text)
		}
	}
	raw, _, err := fledge(t, append(args, "--format", "json")...)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		SourceDigest string `json:"source_digest"`
		Layers       []struct {
			Name, Digest string
			Files        int
		}
		Entries []struct {
			Path  string
			Layer *int
		}
	}
	if err := json.Unmarshal([]byte(raw), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Layers) != 2 || len(got.Entries) != 2 || !strings.HasPrefix(got.SourceDigest, "sha256:") {
		t.Fatalf("%+v", got)
	}
	if l, e := got.Layers[0], got.Entries; l.Name != "layer 1 of 1" || l.Files != 1 || *e[0].Layer != 1 || *e[1].Layer != 0 {
		t.Errorf("%+v", got)
	}
	for want, wrong := range map[string][]string{
		"--image goes with --format text or json": {"--image", "oci:x", "--format", "tree"},
		"and without --path":                      {"--image", "oci:x", "--path", "etc"},
		"--arch is for --image":                   {"--arch", "arm64"},
		"--cache is for --image":                  {"--cache", "x"},
		"--image is for --image":                  {"--image", ""},
		"--arch x: it is amd64 or arm64":          {"--image", "oci:x", "--arch", "x"},
		`unknown transport "dir"`:                 {"--image", "dir:x"},
	} {
		_, _, err := fledge(t, append([]string{"inspect", archive}, wrong...)...)
		if err == nil || !strings.Contains(err.Error(), want) || cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: error %v, want a usage error with %q", wrong, err, want)
		}
	}
	_, _, err = fledge(t, "inspect", archive, "--cache", cache, "--image", "oci:"+writeImage(t, "g"))
	if want := `app.cpio: it was not made of oci:`; err == nil || !strings.Contains(err.Error(), want) || cli.ExitCode(err) != cli.ExitError {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestInspectLocked: an image of a registry is the one that a fledge.lock pins.
func TestInspectLocked(t *testing.T) {
	imagetest.Need(t, "skopeo")
	registry := registrytest.StartOpen(t)
	reference := "docker://" + registry.Addr + "/app:1"
	push := func(layout string) (digest string) {
		file := filepath.Join(t.TempDir(), "digest")
		imagetest.Run(t, "skopeo", "copy", "--dest-tls-verify=false", "--digestfile", file, "oci:"+layout, reference)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	lock := &lockfile.Lock{}
	lock.SetImage(reference, push(writeImage(t)))
	push(writeImage(t, "g"))

	beside, elsewhere := t.TempDir(), t.TempDir()
	archive := filepath.Join(beside, "app.cpio")
	writeArchive(t, archive, "text")
	t.Chdir(elsewhere)
	inspect := func() error {
		t.Helper()
		_, _, err := fledge(t, "inspect", archive, "--cache", filepath.Join(beside, "cache"), "--image", strings.TrimPrefix(reference, "docker://"))
		return err
	}
	if err := inspect(); err == nil || !strings.Contains(err.Error(), "1 are missing") {
		t.Errorf("without a lock: %v", err)
	}
	for _, dir := range []string{elsewhere, beside} {
		file := filepath.Join(dir, lockfile.Name)
		if err := lock.Write(file); err != nil {
			t.Fatal(err)
		}
		if err := inspect(); err != nil {
			t.Errorf("a lock in %s: %v", dir, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}
