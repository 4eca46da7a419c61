// Package remote builds a workspace with Bazel's remote execution, in sandboxes that have nothing but an action's inputs, and
// with its caches, from other output bases: which actions run, where, and what is downloaded.
package remote

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/e2e/harness"
)

// mnemonics are those of all actions for //:images, the building of Fledge's programs among them. None may run locally.
var mnemonics = []string{
	"FledgeBootInitramfs", "FledgeGoModule", "FledgeGoStd", "FledgeLink", "FledgeLinkInitramfs", "FledgeManifest", "FledgePack",
	"FledgePackBusybox", "FledgePackFiles", "FledgePackInit", "FledgePackLayout", "FledgeSplitLayout",
}

// build is a first build of //:images, which others are compared with.
type build struct {
	actions int
	digests map[string]string
}

func TestRemote(t *testing.T) {
	harness.NeedSlow(t, "builds Fledge's programs twice, once with an execution server")
	needKernel(t)
	workers, cache := startWorkers(t), ""
	nginx, noCache := findNginx()
	if noCache == nil {
		cache = startCache(t, nginx)
	}
	first, second := newWorkspace(t, workers, cache), newWorkspace(t, workers, cache)

	spawns, took := first.Build(t, "--config=remote", "//:images")
	t.Logf("%d actions in the workers: %v", len(spawns), took)
	wantRunner(t, spawns, "remote")
	if diff := cmp.Diff(mnemonics, distinct(spawns)); diff != "" {
		t.Errorf("mnemonics, -want +got:\n%s", diff)
	}
	// No layer pack, and none of the programs.
	if diff := cmp.Diff(images, outputs(t, first)); diff != "" {
		t.Errorf("files in the output base, -want +got:\n%s", diff)
	}
	reference := build{len(spawns), digests(t, first)}

	t.Run("second output base", func(t *testing.T) { reference.testHits(t, second, "--config=remote") })
	t.Run("change", func(t *testing.T) { testChange(t, first) })
	t.Run("sandbox", func(t *testing.T) { testSandbox(t, first) })
	t.Run("boot test", func(t *testing.T) { testBoot(t, first) })
	t.Run("xfs", func(t *testing.T) { testFill(t, first) })
	t.Run("local build", func(t *testing.T) { reference.testLocal(t, first, noCache == nil) })
	t.Run("HTTP cache", func(t *testing.T) {
		if noCache != nil {
			t.Skip(noCache)
		}
		second.Bazel(t, "clean")
		reference.testHits(t, second, "--config=cache")
	})
}

// testHits builds the images in another output base, which takes all of it from a cache.
func (b build) testHits(t *testing.T, w *harness.Workspace, config string) {
	spawns, took := w.Build(t, config, "//:images")
	t.Logf("%d of %d actions, from the cache: %v", len(spawns), b.actions, took)
	wantRunner(t, spawns, "remote cache hit")
	if len(spawns) != b.actions {
		t.Errorf("%d actions, want %d", len(spawns), b.actions)
	}
	if diff := cmp.Diff(b.digests, digests(t, w)); diff != "" {
		t.Errorf("images, -first build +this one:\n%s", diff)
	}
}

// testLocal builds the images on this machine, with nothing of what the workers made, and fills the HTTP cache.
func (b build) testLocal(t *testing.T, w *harness.Workspace, cache bool) {
	w.Bazel(t, "clean")
	args := []string{"--spawn_strategy=linux-sandbox", "//:images"}
	if cache {
		args = append(args, "--config=cache")
	}
	spawns, took := w.Build(t, args...)
	t.Logf("%d actions here: %v", len(spawns), took)
	wantRunner(t, spawns, "linux-sandbox")
	if diff := cmp.Diff(b.digests, digests(t, w)); diff != "" {
		t.Errorf("images, -of workers +of this machine:\n%s", diff)
	}
}

// testChange changes the layer of the application and then has the first one back.
func testChange(t *testing.T, w *harness.Workspace) {
	w.Write(t, "app.tar", layerTar(t, "app", "two"))
	defer w.Write(t, "app.tar", layerTar(t, "app", "one"))
	spawns, took := w.Build(t, "--config=remote", "//:images")
	t.Logf("%d actions: %v", len(spawns), took)
	wantRunner(t, spawns, "remote")
	got := []string{}
	for _, s := range spawns {
		got = append(got, s.String())
	}
	slices.Sort(got)
	want := []string{ // a pack for each file system
		"FledgeLink //:erofs", "FledgeLink //:ext4", "FledgeLink //:squashfs",
		"FledgeManifest //:erofs", "FledgeManifest //:ext4", "FledgeManifest //:squashfs",
		"FledgePack //:app", "FledgePack //:app", "FledgePack //:app",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(images, outputs(t, w)); diff != "" {
		t.Errorf("files in the output base, -want +got:\n%s", diff)
	}
}

// wantRunner checks where actions ran; there must be some.
func wantRunner(t *testing.T, spawns []harness.Spawn, runners ...string) {
	t.Helper()
	if len(spawns) == 0 {
		t.Error("no action ran")
	}
	for _, s := range spawns {
		if !slices.Contains(runners, s.Runner) {
			t.Errorf("%s ran by %q, want %q", s, s.Runner, runners)
		}
	}
}

// distinct are the mnemonics, each once.
func distinct(spawns []harness.Spawn) []string {
	found := map[string]bool{}
	for _, s := range spawns {
		found[s.Mnemonic] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// testSandbox shows that an action which takes more than its inputs does work here and fails in the workers.
func testSandbox(t *testing.T, w *harness.Workspace) {
	w.Bazel(t, "build", "--config=remote", "//:declared")
	for target, says := range map[string]string{
		"//:undeclared": "open manifest.toml: no such file or directory",
		"//:host_file":  "open /etc/passwd: no such file or directory",
		"//:network":    "connect: ",
	} {
		if out, err := w.Try("build", "--config=remote", target); err == nil || !strings.Contains(out, "probe: ") || !strings.Contains(out, says) {
			t.Errorf("%s: got %v, want an error with %q\n%s", target, err, says, out)
		}
		w.Bazel(t, "build", "--spawn_strategy=local", target)
	}
}

// testBoot has a worker boot an image, emulated. Only actions with an execution property have a QEMU, and the target sets it
// for those of the group "test".
func testBoot(t *testing.T, w *harness.Workspace) {
	needQEMU(t)
	spawns, took := w.Spawns(t, "test", "--config=remote", "//:boots")
	t.Log(took)
	wantRunner(t, spawns, "remote", "remote cache hit")
	wantRan(t, spawns, "TestRunner")
}

// testFill has a worker make an xfs image in a machine; the property is for the group "vm".
func testFill(t *testing.T, w *harness.Workspace) {
	needQEMU(t)
	if _, err := find("mkfs.xfs"); err != nil {
		t.Skipf("%v: install it (Debian: apt install xfsprogs)", err)
	}
	const says = "filler: exec: "
	if out, err := w.Try("build", "--config=remote", "//:xfs_anywhere"); err == nil || !strings.Contains(out, says) {
		t.Errorf("on a worker without QEMU: got %v, want an error with %q\n%s", err, says, out)
	}
	spawns, took := w.Build(t, "--config=remote", "//:xfs")
	t.Log(took)
	wantRunner(t, spawns, "remote", "remote cache hit")
	wantRan(t, spawns, "FledgeFill")
}

// wantRan checks that a worker ran an action.
func wantRan(t *testing.T, spawns []harness.Spawn, mnemonic string) {
	t.Helper()
	ran := func(s harness.Spawn) bool { return s.Mnemonic == mnemonic && s.Runner == "remote" }
	if !slices.ContainsFunc(spawns, ran) {
		t.Errorf("no worker ran a %s: %v", mnemonic, spawns)
	}
}
