package corpus

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/e2e/layers"
)

// Package is a Bazel package with an image of the corpus, //:debian if it is the workspace's root.
type Package struct {
	dir string
	app []byte // tar
}

const packageBuild = `load("@fledge//fledge:defs.bzl", "fledge_layers", "fledge_rootfs")

fledge_layers(name = "image", layers = ["system.tar.gz", "runtime.tar.gz", "app.tar"])

fledge_rootfs(
    name = "debian",
    agent = "agent.sh",
    compression_level = 3,
    image = ":image",
    manifest = "manifest.toml",
)
`

// NewPackage writes the package into the folder dir, which exists, with the layers of a layout that Make made.
func NewPackage(dir, layout string) (*Package, error) {
	blobs, err := layers.Blobs(layout)
	if err != nil {
		return nil, err
	}
	p := &Package{dir: dir}
	if p.app, err = gunzip(blobs[2]); err != nil {
		return nil, err
	}
	for name, blob := range map[string]string{"system.tar.gz": blobs[0], "runtime.tar.gz": blobs[1]} {
		if err := os.Link(blob, filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{
		"BUILD.bazel": packageBuild, "agent.sh": "#!/bin/sh\n", "app.tar": string(p.app),
		"manifest.toml": "name = \"corpus\"\nversion = \"1\"\n\n[workload]\nentrypoint = [\"/app\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ChangeApp writes the app layer with a few bytes of one file replaced, others for each nonce, of 24 bytes at most.
func (p *Package) ChangeApp(nonce string) error {
	at := bytes.Index(p.app, []byte("entry\x00\x00\x00")) // in data/table.bin
	if at < 0 {
		return fmt.Errorf("%s: the app layer has no table", p.dir)
	}
	copy(p.app[at+80:], fmt.Sprintf("%-24.24s", nonce))
	return os.WriteFile(filepath.Join(p.dir, "app.tar"), p.app, 0o644)
}

func gunzip(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(r)
}
