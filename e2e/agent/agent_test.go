// Package agent tests fledge.agent, fledge.busybox and agentfetch with Bazel, from a workspace that uses Fledge as its
// users do.
package agent

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/internal/agent/agenttest"
)

var (
	amd64   = agenttest.Program("amd64", 5000)
	arm64   = agenttest.Program("arm64", 6000)
	busybox = agenttest.Program("amd64", 7000)
)

// copyRule copies what a label stands for, as rules with an agent attribute take it.
const copyRule = `"""Copies an agent."""

def _copy_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + "/" + ctx.file.agent.basename)
    ctx.actions.run_shell(
        command = 'test -x "$1" && cp -L "$1" "$2"',
        arguments = [ctx.file.agent.path, out.path],
        inputs = [ctx.file.agent],
        outputs = [out],
    )
    return [DefaultInfo(files = depset([out]))]

copy = rule(
    implementation = _copy_impl,
    attrs = {"agent": attr.label(allow_single_file = True)},
)
`

const buildFile = `load(":copy.bzl", "copy")

platform(
    name = "arm64",
    constraint_values = ["@platforms//cpu:aarch64", "@platforms//os:linux"],
)

platform(
    name = "riscv64",
    constraint_values = ["@platforms//cpu:riscv64", "@platforms//os:linux"],
)

copy(name = "agent", agent = "@kestrel")
copy(name = "default_agent", agent = "@fledge_agent//:agent")
copy(name = "busybox", agent = "@fledge_busybox//:busybox")
copy(name = "wrong", agent = "@wrong")
copy(name = "latest", agent = "@latest")
copy(name = "unpinned", agent = "@unpinned")
copy(name = "released", agent = "@released")
copy(name = "private", agent = "@private")
genrule(name = "unrelated", outs = ["unrelated.txt"], cmd = "echo >$@")
`

const head = `module(name = "consumer")

bazel_dep(name = "fledge")
local_path_override(
    module_name = "fledge",
    path = %q,
)
bazel_dep(name = "platforms", version = "1.0.0")

fledge = use_extension("@fledge//fledge:extensions.bzl", "fledge")
`

// modules writes MODULE.bazel with the given tags.
func modules(t *testing.T, tags string, repos ...string) string {
	t.Helper()
	fledge, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	names := `"fledge_agent", "fledge_busybox"`
	for _, repo := range repos {
		names += fmt.Sprintf(", %q", repo)
	}
	return fmt.Sprintf(head, fledge) + tags + "use_repo(fledge, " + names + ")\n"
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// mustFail builds a target that cannot be built.
func mustFail(t *testing.T, w *harness.Workspace, parts []string, args ...string) {
	t.Helper()
	out, err := w.Try("build", args...)
	if err == nil {
		t.Fatalf("bazel build %q succeeded\n%s", args, out)
	}
	mustContain(t, out, parts...)
}

func mustHave(t *testing.T, w *harness.Workspace, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(w.Dir, "bazel-bin", path))
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what was served: %v", path, err)
	}
}

func TestPrograms(t *testing.T) {
	harness.NeedSlow(t, "starts Bazel and fetches with it")
	s := agenttest.New(t, &agenttest.Release{Tag: "v1.0.0", Files: map[string][]byte{
		"kestrel": amd64, "kestrel-arm64": arm64, "box": busybox, "private": amd64,
	}})
	s.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); strings.HasSuffix(r.URL.Path, "/private") && user+":"+password != "me:secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	wrong := strings.Repeat("0", 64)
	tags := fmt.Sprintf(`
fledge.agent(url = %q, sha256 = {"amd64": %q})
fledge.agent(name = "wrong", url = %q, sha256 = {"amd64": %q})
fledge.agent(name = "latest", version = "latest")
fledge.agent(name = "unpinned", version = "v1.0.0")
fledge.agent(name = "private", url = %q, sha256 = {"amd64": %q})
fledge.agent(name = "released", repository = %q, version = "v1.0.0", sha256 = {
    "amd64": %q,
    "arm64": %q,
})
fledge.busybox(url = %q, sha256 = %q)
`, s.File("v1.0.0", "kestrel"), agenttest.SHA256(amd64), s.File("v1.0.0", "kestrel"), wrong,
		s.File("v1.0.0", "private"), agenttest.SHA256(amd64), s.Repository(),
		agenttest.SHA256(amd64), agenttest.SHA256(arm64), s.File("v1.0.0", "box"), agenttest.SHA256(busybox))
	w := harness.NewWorkspace(t, map[string]string{
		"MODULE.bazel": modules(t, tags, "kestrel", "latest", "private", "released", "unpinned", "wrong"),
		"BUILD.bazel":  buildFile, "copy.bzl": copyRule,
	}, "--repository_cache=", "--http_connector_attempts=2", "--experimental_downloader_config=", "--color=no")

	w.Bazel(t, "build", "//:unrelated")
	if _, err := w.Try("query", "deps(//:latest) union deps(//:unpinned)"); err != nil {
		t.Errorf("what cannot be built cannot be queried: %v", err)
	}
	if n := len(s.Requests("")); n != 0 {
		t.Errorf("%d requests for targets that use no program", n)
	}

	w.Bazel(t, "build", "//:agent", "//:default_agent")
	mustHave(t, w, "agent/kestrel", amd64)
	mustHave(t, w, "default_agent/kestrel", amd64)
	w.Bazel(t, "build", "//:released")
	mustHave(t, w, "released/kestrel", amd64)
	if n := len(s.Requests("/kestrel-arm64")) + len(s.Requests("/box")); n != 0 {
		t.Errorf("%d requests for what no target uses", n)
	}
	w.Bazel(t, "build", "//:busybox")
	mustHave(t, w, "busybox/busybox", busybox)
	w.Bazel(t, "build", "--platforms=//:arm64", "//:released")
	if len(s.Requests("/kestrel-arm64")) != 1 {
		t.Error("the agent for arm64 was not fetched")
	}

	mustFail(t, w, []string{"returned 401", "~/.netrc"}, "//:private")
	netrc := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(netrc, []byte("machine 127.0.0.1 login me password secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NETRC", netrc)
	w.Bazel(t, "build", "//:private")

	const fetch = "bazel run @fledge//tools/agentfetch -- "
	mustFail(t, w, []string{
		"Checksum was " + agenttest.SHA256(amd64) + " but wanted " + wrong, `fledge.agent "wrong": cannot fetch kestrel`,
		"sha256:      " + wrong, fetch + "--name wrong --url",
	}, "//:wrong")
	mustFail(t, w, []string{`fledge.agent "latest": version "latest" moves`, fetch + "--name latest --version latest"},
		"//:latest")
	mustFail(t, w, []string{"v1.0.0 has no sha256 for amd64", fetch + "--name unpinned --version v1.0.0"}, "//:unpinned")
	mustFail(t, w, []string{"has no sha256 for arm64", "--arch arm64"}, "--platforms=//:arm64", "//:agent")
	mustFail(t, w, []string{"there is no busybox for arm64 by default", `fledge.busybox(arch = "arm64"`},
		"--platforms=//:arm64", "//:busybox")
	mustFail(t, w, []string{"@released is for amd64 and arm64 alone"}, "--platforms=//:riscv64", "//:released")
}

// TestUndeclared: from a workspace without an agent to one that agentfetch has pinned, and then without a network.
func TestUndeclared(t *testing.T) {
	harness.NeedSlow(t, "starts Bazel, builds agentfetch and runs it")
	s := agenttest.New(t, &agenttest.Release{Tag: "v1.0.0", Files: map[string][]byte{"kestrel": amd64}})
	w := harness.NewWorkspace(t, map[string]string{
		"MODULE.bazel": modules(t, ""),
		"copy.bzl":     copyRule,
		"manifest.toml": `name = "app"
version = "1.0"
runtime = "app"

[workload]
type = "exec"
entrypoint = ["/bin/app"]
`,
		"BUILD.bazel": `load("@fledge//fledge:defs.bzl", "fledge_rootfs")
load(":copy.bzl", "copy")
fledge_rootfs(name = "image", agent = "@fledge_agent//:agent", manifest = "manifest.toml", tags = ["manual"])
copy(name = "agent", agent = "@fledge_agent//:agent", tags = ["manual"])
genrule(name = "unrelated", outs = ["unrelated.txt"], cmd = "echo >$@")
`,
	}, "--repository_cache=", "--http_connector_attempts=2", "--experimental_downloader_config=", "--color=no")
	w.Bazel(t, "build", "//...")
	w.Bazel(t, "query", "deps(//...)")
	mustFail(t, w, []string{
		"no agent is declared", "bazel run @fledge//tools/agentfetch -- --version latest", "attribute `agent`",
	}, "//:agent")

	out, err := w.Try("run", "@fledge//tools/agentfetch", "--", "--version", "latest", "--repository", s.Repository())
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, out, `fledge.agent "kestrel" is now v1.0.0`)
	s.Close()

	distdir := t.TempDir()
	if err := os.WriteFile(filepath.Join(distdir, "kestrel"), amd64, 0o644); err != nil {
		t.Fatal(err)
	}
	mustFail(t, w, []string{`fledge.agent "kestrel": cannot fetch kestrel`, s.File("v1.0.0", "kestrel")}, "//:agent")
	w.Bazel(t, "build", "--distdir="+distdir, "//:agent", "//:image")
	mustHave(t, w, "agent/kestrel", amd64)
}
