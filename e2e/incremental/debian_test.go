package incremental

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
)

const debianBuildFile = `load("@fledge//fledge:defs.bzl", "fledge_layers", "fledge_rootfs")

fledge_layers(name = "image", layers = ["system.tar.gz", "runtime.tar.gz", "app.tar"])

fledge_rootfs(
    name = "debian",
    agent = "agent.sh",
    compression_level = 3,
    image = ":image",
    manifest = "manifest.toml",
)
`

// With a base of some hundred megabytes a change of the app layer costs about a copy of the image. The times are logged:
// they say something on a machine that does nothing else.
func TestDebian(t *testing.T) {
	harness.NeedSlow(t, "makes a Debian system, starts a Bazel server and builds the packer")
	var progress bytes.Buffer
	layout, err := corpus.Make(context.Background(), corpus.Options{Compression: layers.Gzip}, &progress)
	if errors.Is(err, corpus.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.Bytes())
	}
	blobs, err := layers.Blobs(layout)
	if err != nil {
		t.Fatal(err)
	}
	app := gunzip(t, blobs[2])
	w := harness.NewWorkspace(t, map[string]string{
		"BUILD.bazel":   debianBuildFile,
		"agent.sh":      "#!/bin/sh\n",
		"manifest.toml": fmt.Sprintf(manifest, "1"),
		"app.tar":       string(app),
	})
	for name, blob := range map[string]string{"system.tar.gz": blobs[0], "runtime.tar.gz": blobs[1]} {
		if err := os.Link(blob, filepath.Join(w.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.Build(t, "//:debian")

	var noop, changed []time.Duration
	const rounds = 5
	for range rounds {
		spawns, took := w.Build(t, "//:debian")
		expect(t, spawns)
		noop = append(noop, took)
		// The content is new, or the disk cache could have the outcome of an earlier run.
		table := bytes.Index(app, []byte("entry\x00\x00\x00"))
		copy(app[table+80:], fmt.Sprintf("%024d", time.Now().UnixNano()))
		w.Write(t, "app.tar", string(app))
		spawns, took = w.Build(t, "//:debian")
		expect(t, spawns, "FledgePack //:image", "FledgeLink //:debian", "FledgeManifest //:debian")
		changed = append(changed, took)
	}
	slices.Sort(noop)
	slices.Sort(changed)
	t.Logf("medians of %d: no change %v, app layer changed %v", rounds, noop[rounds/2], changed[rounds/2])
}

func gunzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
