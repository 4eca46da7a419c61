package build

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/recipe"
)

// dockerTask is a task for a Dockerfile, which does not solve it.
func dockerTask(k *kit, dockerfile string, locked ...string) *task {
	k.t.Helper()
	k.write("Dockerfile", dockerfile)
	o := k.options("version = \"1\"\nstrategy = \"initramfs\"\n[source]\ndockerfile = \"Dockerfile\"\nbuild_args = { BASE = \"ghcr.io/acme/base:1\" }\n")
	p, err := readPins(o.LockFile, false)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, ref := range locked {
		p.lock.SetImage(ref, "sha256:"+strings.Repeat("0", 64))
	}
	return &task{Options: o, pins: p}
}

// TestLikelyBases finds the images of a Dockerfile in a lock that other recipes share.
func TestLikelyBases(t *testing.T) {
	task := dockerTask(newKit(t), "ARG V=20\nFROM node:$V AS build\nARG BASE\nFROM $BASE\nCOPY --from=ghcr.io/acme/tools-extra /a /a\n",
		"docker://docker.io/library/node:20", "docker://ghcr.io/acme/base:1", "docker://ghcr.io/acme/tools-extra:latest",
		"docker://ghcr.io/acme/no:1", "docker://ghcr.io/acme/extra:1", "docker-daemon:node:20", "docker://ghcr.io/acme/od:1")
	got := task.likelyBases()
	slices.Sort(got)
	if want := []string{"docker.io/library/node:20", "ghcr.io/acme/base:1", "ghcr.io/acme/tools-extra:latest"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSolveKey: another architecture, file or image is another solve; what the build writes itself is not.
func TestSolveKey(t *testing.T) {
	k := newKit(t)
	task := dockerTask(k, "FROM scratch\nCOPY . /\n")
	task.Cache, task.Dir, task.Name = filepath.Join(k.dir, ".cache"), k.dir, "app"
	key := func(digests ...string) string {
		t.Helper()
		files, err := task.context()
		if err != nil {
			t.Fatal(err)
		}
		job, err := task.job()
		if err != nil {
			t.Fatal(err)
		}
		key, err := task.solveKey(t.Context(), job, files, digests)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := key()
	k.write("app.cpio.gz", "image")
	k.write("fledge.lock", "version = 1\n")
	k.write(".cache/blobs/sha256/0", "blob")
	if key() != first {
		t.Error("what a build writes changes the next one")
	}
	seen := map[string]string{first: "first"}
	for name, change := range map[string]func(){
		"file": func() { k.write("other", "other") }, "arch": func() { task.Arch = "arm64" },
		"epoch":   func() { task.Recipe.Source.BuildArgs = map[string]string{"SOURCE_DATE_EPOCH": "1"} },
		"program": func() { task.Program = "other" }, "network": func() { task.Solve.Network = true },
	} {
		change()
		k := key()
		if seen[k] != "" {
			t.Errorf("%s: the key of %s", name, seen[k])
		}
		seen[k] = name
	}
	if key("a 1") == key("a 2") {
		t.Error("two images have one key")
	}
	task.Recipe.Source.BuildArgs = map[string]string{"SOURCE_DATE_EPOCH": "now"}
	if _, err := task.job(); err == nil || !strings.Contains(err.Error(), "fledge.toml: build argument SOURCE_DATE_EPOCH=now: ") {
		t.Errorf("error %v", err)
	}
}

// TestPlace has two processes solve the same, and a crash cut the result off.
func TestPlace(t *testing.T) {
	k := newKit(t)
	at := func(name string) string { return filepath.Join(k.dir, name) }
	task := &task{Options: Options{Arch: "amd64"}}
	place := func(fresh, want string) {
		t.Helper()
		k.layout(fresh, fresh)
		content := k.read(fresh + "/index.json")
		if err := task.place(at(fresh), at("layout")); err != nil {
			t.Error(err)
		}
		if got := k.read("layout/index.json") == content; got != (fresh == want) || !task.solved(at("layout")) {
			t.Errorf("%s is there: %v, want %s", fresh, got, want)
		}
	}
	place("one", "one")
	place("two", "one")
	task.Solve.NoCache = true
	place("three", "three")
	task.Solve.NoCache = false
	k.write("layout/index.json", "")
	if task.solved(at("layout")) {
		t.Error("what is damaged counts as solved")
	}
	place("four", "four")
	if err := task.place(at("gone"), at("new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestMissing has BuildKit ask for the same image again.
func TestMissing(t *testing.T) {
	task := &task{Options: Options{Recipe: &recipe.Recipe{Source: recipe.Source{Dockerfile: "Dockerfile"}}}}
	refs := []string{"docker.io/library/a:1"}
	if err := task.addMissing(&refs, []string{"docker.io/library/b:1"}); err != nil || len(refs) != 2 {
		t.Errorf("%q, %v", refs, err)
	}
	if err := task.addMissing(&refs, refs[:1]); err == nil || !strings.Contains(err.Error(), "Dockerfile: BuildKit does not take docker.io/library/a:1") {
		t.Errorf("error %v", err)
	}
}
