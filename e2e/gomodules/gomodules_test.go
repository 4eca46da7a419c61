// Package gomodules is a workspace with Go modules of its own, older ones than BuildKit needs: Fledge must not move
// them, and builds its guest all the same.
package gomodules

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

const (
	moduleBazel = `module(name = "consumer")

bazel_dep(name = "rules_go", version = "0.60.0")
bazel_dep(name = "gazelle", version = "0.47.0")

go_deps = use_extension("@gazelle//:extensions.bzl", "go_deps")
go_deps.from_file(go_mod = "//:go.mod")
use_repo(go_deps, "com_github_containerd_platforms")
`
	withFledge = `
bazel_dep(name = "fledge")
local_path_override(
    module_name = "fledge",
    path = %q,
)
`
	// BuildKit wants newer ones of all of these.
	goMod = `module example.com/consumer

go 1.24.0

require (
	github.com/containerd/platforms v1.0.0-rc.1
	github.com/klauspost/compress v1.17.11
	golang.org/x/sys v0.30.0
	google.golang.org/grpc v1.70.0
)
`
	mainGo = `package main

import (
	"fmt"

	"github.com/containerd/platforms"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

func main() {
	fmt.Println(platforms.DefaultString(), zstd.SpeedDefault, unix.O_RDONLY, grpc.Version)
}
`
)

// newConsumer makes the workspace, with Fledge or without.
func newConsumer(t *testing.T, fledge bool) *harness.Workspace {
	t.Helper()
	module := moduleBazel
	if fledge {
		module += fmt.Sprintf(withFledge, toolrun.Repository())
	}
	w := harness.NewWorkspace(t, map[string]string{
		"MODULE.bazel": module,
		"BUILD.bazel":  "",
		"go.mod":       goMod,
		"main.go":      mainGo,
	})
	goCommand(t, w, "mod", "tidy")
	return w
}

func goCommand(t *testing.T, w *harness.Workspace, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = w.Dir, append(os.Environ(), "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, err.(*exec.ExitError).Stderr)
	}
	return string(out)
}

var (
	fetchedRepo = regexp.MustCompile(`(?m)^  - (\w+)`)
	repoFact    = regexp.MustCompile(`(?m)^  (importpath|version) = "(.*)",$`)
)

// versions asks Bazel for the version of each Go module that go_deps knows.
func versions(t *testing.T, w *harness.Workspace) map[string]string {
	t.Helper()
	const module = "com_github_containerd_platforms"
	var mapping map[string]string
	if err := json.Unmarshal([]byte(bazelMod(t, w, "dump_repo_mapping", "")), &mapping); err != nil {
		t.Fatal(err)
	}
	prefix := strings.TrimSuffix(mapping[module], module)
	args := []string{"show_repo"}
	extension := bazelMod(t, w, "show_extension", "@gazelle//:extensions.bzl%go_deps")
	for _, match := range fetchedRepo.FindAllStringSubmatch(extension, -1) {
		args = append(args, "@@"+prefix+match[1])
	}
	found := map[string]string{}
	path := ""
	for _, match := range repoFact.FindAllStringSubmatch(bazelMod(t, w, args...), -1) {
		if match[1] == "importpath" {
			path = match[2]
		} else {
			found[path] = match[2]
		}
	}
	if found["github.com/containerd/platforms"] == "" {
		t.Fatalf("bazel mod %q tells no version of a module that is there", args)
	}
	return found
}

// bazelMod is what bazel mod prints on standard output.
func bazelMod(t *testing.T, w *harness.Workspace, args ...string) string {
	t.Helper()
	command := append([]string{"--output_base=" + w.OutputBase, "mod"}, args...)
	cmd := exec.Command(filepath.Join(toolrun.Repository(), "bazelw"), command...)
	cmd.Dir = w.Dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bazel mod %s: %v\n%s", args[0], err, stderr.String())
	}
	return string(out)
}

// requires is what a go.mod of the repository requires: versions by path.
func requires(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(toolrun.Repository(), name))
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, require := range file.Require {
		found[require.Mod.Path] = require.Mod.Version
	}
	return found
}

// The user's versions of Go modules are the same with Fledge and without, although Fledge and BuildKit need newer ones,
// and the programs are built with their own.
func TestVersionsStay(t *testing.T) {
	harness.NeedSlow(t, "starts two Bazel servers and builds BuildKit")
	without, with := newConsumer(t, false), newConsumer(t, true)
	want, got := versions(t, without), versions(t, with)
	own, guest := requires(t, "go.mod"), requires(t, "tools/guest/go.mod")
	for name, module := range map[string]map[string]string{"Fledge": own, "the guest": guest} {
		conflicts := 0
		for path, version := range want {
			if newer, ok := module[path]; ok && semver.Compare(newer, version) > 0 {
				conflicts++
			}
		}
		if conflicts < 2 {
			t.Fatalf("%s needs a newer one of %d of these modules only: %v", name, conflicts, want)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Fledge moves the workspace's Go modules, -without +with:\n%s", diff)
	}

	modules := goCommand(t, with, "list", "-m", "all")
	with.Bazel(t, "build", "//...", "@fledge//tools/guest", "@fledge//tools/bin:packer", "@fledge//tools/bin:solver")
	if diff := cmp.Diff(modules, goCommand(t, with, "list", "-m", "all")); diff != "" {
		t.Errorf("go list -m all, -before +after a build:\n%s", diff)
	}
	if fetched, err := filepath.Glob(filepath.Join(with.OutputBase, "external", "*fledge_deps")); err != nil || len(fetched) != 1 {
		t.Errorf("what the rules' programs need is in %q (%v)", fetched, err)
	}
	for _, part := range []string{"cli", "sbom"} {
		fetched, err := filepath.Glob(filepath.Join(with.OutputBase, "external", "*fledge_"+part+"_*"))
		if err != nil || len(fetched) > 0 {
			t.Errorf("the rules fetch what is of %s alone: %q (%v)", part, fetched, err)
		}
	}
	wantProgram(t, with, "tools/guest/guest", guest, 50)
	wantProgram(t, with, "tools/bin/packer", own, 5)
	wantProgram(t, with, "tools/bin/solver", own, 1)
}

// wantProgram checks that a tool is a static program, which has the modules that its go.mod says, least of them at
// the least.
func wantProgram(t *testing.T, w *harness.Workspace, tool string, modules map[string]string, least int) {
	t.Helper()
	// Bazel's own name of the repository differs from release to release.
	programs, err := filepath.Glob(filepath.Join(w.Dir, "bazel-bin/external/fledge*", tool))
	if err != nil || len(programs) != 1 {
		t.Fatalf("%s is %q (%v)", tool, programs, err)
	}
	program := programs[0]
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("%s needs the libraries %q (%v)", tool, libraries, err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range info.Deps {
		if module.Replace == nil && module.Version != modules[module.Path] {
			t.Errorf("%s has %s %s, and its go.mod says %q", tool, module.Path, module.Version, modules[module.Path])
		}
	}
	if len(info.Deps) < least {
		t.Errorf("%s has %d modules only", tool, len(info.Deps))
	}
}

// gobuild is compiled before any Go module is fetched, so that it may need Fledge's packages and the standard library alone.
func TestGobuildNeedsNoModule(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./tools/gobuild")
	cmd.Dir = toolrun.Repository()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) == 0 {
		t.Fatal("go list names no package")
	}
	for _, path := range packages {
		if !strings.HasPrefix(path, "github.com/fledge-build/fledge/") {
			t.Errorf("gobuild needs %s", path)
		}
	}
}
