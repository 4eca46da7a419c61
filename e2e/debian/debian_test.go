// Package debian builds a bootable image of the corpus, a Debian system with every kind of file, from a workspace that uses
// Fledge as its users do, and boots it.
package debian

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
)

//go:embed testdata
var files embed.FS

func TestBoot(t *testing.T) {
	harness.NeedSlow(t, "makes a Debian system, builds an image of it and boots that, perhaps without KVM")
	var progress bytes.Buffer
	layout, err := corpus.Make(context.Background(), corpus.Options{Compression: layers.Gzip, Huge: true}, &progress)
	if errors.Is(err, corpus.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.Bytes())
	}
	sources := map[string]string{}
	for name, source := range map[string]string{
		"BUILD.bazel": "BUILD.txt", "check.py": "check.py", "manifest.toml": "manifest.toml",
	} {
		data, err := files.ReadFile("testdata/" + source)
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = string(data)
	}
	w := harness.NewWorkspace(t, sources)
	link(t, layout, filepath.Join(w.Dir, "layout"))

	out, err := w.Try("test", "--test_output=all", "//:debian_test")
	if err != nil && strings.Contains(out, "set_FLEDGE_KERNEL_BZIMAGE_or_use_bazelw") {
		t.Skip("no kernel to boot: set FLEDGE_KERNEL_BZIMAGE")
	}
	if err != nil {
		t.Fatal(err)
	}
	console := regexp.MustCompile(`(?m)^(corpus|kestrel|boot): .*|^//:debian_test .*`)
	t.Log(strings.Join(console.FindAllString(out, -1), "\n"))
}

// link makes the folder to with hard links to the files of from, which are large.
func link(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
	if err != nil {
		t.Fatal(err)
	}
}
