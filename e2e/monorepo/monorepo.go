// Package monorepo writes a Bazel workspace of many images over few bases, for the test that counts what a change runs and
// for the benchmark that measures it.
package monorepo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/e2e/layers"
)

// Size is how large a workspace is. Every image is a base, of one layer, and an app layer of its own; image i is over base
// i % Bases. The layers are of noise, so that packs and images are as large as they are.
type Size struct {
	Images    int   `json:"images"`
	Bases     int   `json:"bases"`
	BaseBytes int64 `json:"base_bytes"`
	AppBytes  int64 `json:"app_bytes"`
}

// Targets of a workspace: all images, and one that is in none of them, whose build builds Fledge's tools.
const (
	All    = "//images/..."
	WarmUp = "//shared:warmup"
)

const initramfsBytes = 2 << 20 // about what the boot initramfs of an image takes

// OutputBytes is about what all images and packs take together, InputBytes what the layers do.
func (s Size) OutputBytes() int64 {
	images, bases := int64(s.Images), int64(s.Bases)
	return images*(s.BaseBytes+2*s.AppBytes+initramfsBytes) + bases*s.BaseBytes
}

// InputBytes is what the layers take.
func (s Size) InputBytes() int64 { return int64(s.Bases)*s.BaseBytes + int64(s.Images)*s.AppBytes }

// Image is the label of an image.
func Image(i int) string { return fmt.Sprintf("//images/image%03d", i) }

// Base is the label of a base.
func Base(i int) string { return fmt.Sprintf("//bases/base%d", i) }

// ImageFile is where Bazel puts an image, in the workspace's folder.
func ImageFile(i int) string { return fmt.Sprintf("bazel-bin/images/image%03d/image%03d.img", i, i) }

// Workspace is a folder with a MODULE.bazel that has Fledge.
type Workspace struct {
	Dir  string
	Size Size
}

// Write writes packages in images/, bases/ and shared/, in place of those of an earlier Write. seed decides over what is in the layers.
func (w Workspace) Write(seed string) error {
	var errs []error
	for _, dir := range []string{"images", "bases"} {
		errs = append(errs, os.RemoveAll(filepath.Join(w.Dir, dir)))
	}
	errs = append(errs, w.file("shared/BUILD.bazel", sharedBuild), w.file("shared/agent.sh", "#!/bin/sh\n"),
		w.file("shared/manifest.toml", manifest("warmup")))
	for i := range w.Size.Bases {
		dir := fmt.Sprintf("bases/base%d/", i)
		errs = append(errs,
			w.file(dir+"BUILD.bazel", fmt.Sprintf(baseBuild, i)),
			w.file(dir+"config.json", `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`),
			w.ChangeBase(i, seed))
	}
	for i := range w.Size.Images {
		name := fmt.Sprintf("image%03d", i)
		errs = append(errs,
			w.file("images/"+name+"/BUILD.bazel", fmt.Sprintf(imageBuild, Base(i%w.Size.Bases), name)),
			w.file("images/"+name+"/manifest.toml", manifest(name)),
			w.ChangeApp(i, seed))
	}
	return errors.Join(errs...)
}

// ChangeApp writes the app layer of an image anew.
func (w Workspace) ChangeApp(i int, seed string) error {
	return layers.WriteTar(filepath.Join(w.Dir, fmt.Sprintf("images/image%03d/app.tar", i)),
		layers.Noise(fmt.Sprintf("app%d", i), seed, w.Size.AppBytes))
}

// ChangeBase writes the layer of a base anew.
func (w Workspace) ChangeBase(i int, seed string) error {
	return layers.WriteTar(filepath.Join(w.Dir, fmt.Sprintf("bases/base%d/base.tar", i)),
		layers.Noise(fmt.Sprintf("base%d", i), seed, w.Size.BaseBytes))
}

func (w Workspace) file(name, content string) error {
	path := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

func manifest(name string) string {
	return fmt.Sprintf("name = %q\nversion = \"1\"\n\n[workload]\nentrypoint = [\"/app\"]\n", name)
}

const sharedBuild = `load("@fledge//fledge:defs.bzl", "fledge_rootfs")

exports_files(["agent.sh"])

fledge_rootfs(
    name = "warmup",
    agent = "agent.sh",
    compression_level = 3,
    manifest = "manifest.toml",
)
`

const baseBuild = `load("@fledge//fledge:defs.bzl", "fledge_layers")

fledge_layers(
    name = "base%d",
    config = "config.json",
    layers = ["base.tar"],
    visibility = ["//visibility:public"],
)
`

const imageBuild = `load("@fledge//fledge:defs.bzl", "fledge_layers", "fledge_rootfs")

fledge_layers(
    name = "layers",
    base = %q,
    layers = ["app.tar"],
)

fledge_rootfs(
    name = %q,
    agent = "//shared:agent.sh",
    compression_level = 3,
    image = ":layers",
    manifest = "manifest.toml",
)
`
