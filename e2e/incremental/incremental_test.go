// Package incremental tests, in a workspace of its own, which actions Bazel runs after a change: those of what changed and
// those that must follow, and no others.
package incremental

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/bazel"
	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
)

const buildFile = `load("@fledge//fledge:defs.bzl", "fledge_initramfs", "fledge_layers", "fledge_rootfs")

fledge_layers(name = "base", config = "config.json", layers = ["base.tar"])

[fledge_layers(name = name + "_image", base = ":base", layers = [name + ".tar"]) for name in ["app", "other"]]

[fledge_rootfs(
    name = name,
    agent = "agent.sh",
    compression_level = 3,
    image = ":" + name + "_image",
    manifest = "manifest.toml",
    mappings = {"motd": "/etc/motd"},
) for name in ["app", "other"]]

fledge_initramfs(
    name = "ram",
    busybox = None,
    image = ":app_image",
    init = "none",
    manifest = "manifest.toml",
    mappings = {"agent.sh": "/init"},
    modes = {"/init": "0755"},
)
`

const manifest = `name = "incremental"
version = "%s"

[workload]
entrypoint = ["/app"]
`

// layerTar is an uncompressed layer of one file. Text and nonce decide over the content.
func layerTar(t *testing.T, name, text string, size int) string {
	t.Helper()
	content := text + strings.Repeat("\n"+text, size/len(text))
	data, err := layers.Tar(func(w *layers.Writer) error {
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(1, 0)}
		return w.Add(h, strings.NewReader(content))
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// expect compares what ran with mnemonics and targets, in any order.
func expect(t *testing.T, spawns []harness.Spawn, want ...string) {
	t.Helper()
	got := []string{}
	for _, s := range spawns {
		line := s.String()
		if s.CacheHit {
			line += " (from a cache)"
		}
		got = append(got, line)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("actions:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestIncremental(t *testing.T) {
	harness.NeedSlow(t, "starts a Bazel server and builds the packer")
	// Nothing of it may be in a cache from an earlier run.
	nonce := fmt.Sprint(rand.Uint64())
	app := layerTar(t, "app", "app "+nonce, 1<<20)
	w := harness.NewWorkspace(t, map[string]string{
		"BUILD.bazel":   buildFile,
		"agent.sh":      "#!/bin/sh\n# " + nonce + "\n",
		"motd":          "hello " + nonce + "\n",
		"config.json":   `{"architecture":"amd64","os":"linux","config":{"Env":["NONCE=` + nonce + `"]},"rootfs":{"type":"layers","diff_ids":[]}}`,
		"manifest.toml": fmt.Sprintf(manifest, nonce),
		"base.tar":      layerTar(t, "base", "base "+nonce, 8<<20),
		"app.tar":       app,
		"other.tar":     layerTar(t, "other", "other "+nonce, 1<<20),
	})

	spawns, took := w.Build(t, "//:app")
	t.Logf("first build: %v", took)
	// The boot initramfs is the same for all and may come from the disk cache.
	first := slices.DeleteFunc(bazel.OfRules(spawns), func(s harness.Spawn) bool { return s.Mnemonic == "FledgeBootInitramfs" })
	expect(t, first, "FledgePack //:base", "FledgePack //:app_image", "FledgePackFiles //:app", "FledgePackFiles //:app",
		"FledgeLink //:app", "FledgeManifest //:app")

	spawns, noop := w.Build(t, "//:app")
	t.Logf("nothing changed: %v", noop)
	expect(t, spawns)

	step := func(name string, change func(t *testing.T), want ...string) {
		t.Run(name, func(t *testing.T) {
			change(t)
			spawns, took := w.Build(t, "//:app")
			t.Logf("%v, %v more than with no change", took, took-noop)
			expect(t, spawns, want...)
		})
	}
	step("one byte of the app layer", func(t *testing.T) {
		w.Write(t, "app.tar", strings.Replace(app, "\napp", "\nApp", 1))
	}, "FledgePack //:app_image", "FledgeLink //:app", "FledgeManifest //:app")
	step("the file again, with the same content", func(t *testing.T) {
		w.Write(t, "app.tar", strings.Replace(app, "\napp", "\nApp", 1))
	})
	step("a mapped file", func(t *testing.T) {
		w.Write(t, "motd", "goodbye "+nonce+"\n")
	}, "FledgePackFiles //:app", "FledgeLink //:app", "FledgeManifest //:app")
	step("the manifest", func(t *testing.T) {
		w.Write(t, "manifest.toml", fmt.Sprintf(manifest, nonce+"2"))
	}, "FledgeManifest //:app")
	step("the base layer", func(t *testing.T) {
		w.Write(t, "base.tar", layerTar(t, "base", "changed "+nonce, 8<<20))
	}, "FledgePack //:base", "FledgeLink //:app", "FledgeManifest //:app")

	t.Run("an initramfs of the same image", func(t *testing.T) {
		spawns, _ := w.Build(t, "//:ram")
		expect(t, bazel.OfRules(spawns), "FledgePack //:base", "FledgePack //:app_image", "FledgePackFiles //:ram",
			"FledgeLinkInitramfs //:ram", "FledgeManifest //:ram")
		// The segments of the base are copied, whatever the app is: the packs that are not made anew hold them compressed.
		w.Write(t, "app.tar", strings.Replace(app, "\napp", "\naPp", 1))
		spawns, _ = w.Build(t, "//:ram")
		expect(t, spawns, "FledgePack //:app_image", "FledgeLinkInitramfs //:ram", "FledgeManifest //:ram")
	})
	t.Run("a second image on the same base", func(t *testing.T) {
		spawns, _ := w.Build(t, "//:other")
		spawns = slices.DeleteFunc(spawns, func(s harness.Spawn) bool { return s.Mnemonic == "FledgeBootInitramfs" })
		got := []string{}
		for _, s := range spawns {
			got = append(got, s.String())
		}
		if slices.Contains(got, "FledgePack //:base") {
			t.Error("the base was packed again")
		}
		if !slices.Contains(got, "FledgePack //:other_image") || !slices.Contains(got, "FledgeLink //:other") {
			t.Errorf("ran only %q", got)
		}
	})
	t.Run("many images", func(t *testing.T) { testMonorepo(t, w, nonce) })
}
