package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/agent/agenttest"
	"github.com/fledge-build/fledge/internal/cli"
)

var (
	amd64 = agenttest.Program("amd64", 70_000)
	arm64 = agenttest.Program("arm64", 80_000)
	both  = map[string][]byte{"kestrel": amd64, "kestrel-arm64": arm64}
)

// workspace is a folder with a MODULE.bazel, and what agentfetch printed there.
type workspace struct {
	dir         string
	out, stderr bytes.Buffer
}

func newWorkspace(t *testing.T, tags string) *workspace {
	t.Helper()
	w := &workspace{dir: t.TempDir()}
	const head = "bazel_dep(name = \"fledge\", version = \"0.1.0\")\n\n" +
		"fledge = use_extension(\"@fledge//fledge:extensions.bzl\", \"fledge\")\n"
	if err := os.WriteFile(w.file(), []byte(head+tags), 0o640); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *workspace) file() string { return filepath.Join(w.dir, "MODULE.bazel") }

func (w *workspace) read(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(w.file())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// run runs agentfetch and gives its exit code.
func (w *workspace) run(t *testing.T, args ...string) int {
	t.Helper()
	w.out.Reset()
	w.stderr.Reset()
	tool := &tool{
		client:    &agent.Client{Stall: 10 * time.Second},
		token:     "SECRET",
		workspace: w.dir,
		out:       &w.out,
		progress:  &progress{w: &w.stderr, now: time.Now},
	}
	code := report(&w.stderr, tool.run(t.Context(), args))
	if all := w.out.String() + w.stderr.String(); strings.Contains(all, "SECRET") {
		t.Errorf("the token is in\n%s", all)
	}
	return code
}

func (w *workspace) mustRun(t *testing.T, code int, args ...string) {
	t.Helper()
	if got := w.run(t, args...); got != code {
		t.Fatalf("agentfetch %q: exit code %d, want %d\n%s%s", args, got, code, &w.out, &w.stderr)
	}
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// TestUpdate: from nothing to a pinned release, to the next one, and to nothing to do.
func TestUpdate(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1.0.0", Files: both})
	w := newWorkspace(t, "")
	w.mustRun(t, cli.ExitOK, "--version", "latest", "--repository", s.Repository())
	mustContain(t, w.read(t), `version = "v1.0.0"`, `"amd64": "`+agenttest.SHA256(amd64),
		`"arm64": "`+agenttest.SHA256(arm64), `repository = "`+s.Repository(), `use_repo(fledge, "kestrel")`)
	mustContain(t, w.out.String(), `fledge.agent "kestrel" is now v1.0.0`)
	if info, err := os.Stat(w.file()); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	before, err := os.Stat(w.file())
	if err != nil {
		t.Fatal(err)
	}
	w.mustRun(t, cli.ExitOK, "--version", "latest")
	mustContain(t, w.out.String(), "is up to date")
	if after, err := os.Stat(w.file()); err != nil || !os.SameFile(before, after) || after.ModTime() != before.ModTime() {
		t.Errorf("the file was touched: %v", err)
	}
	w.mustRun(t, cli.ExitOK, "--check")
	mustContain(t, w.out.String(), "v1.0.0 is up to date")

	s.Add(&agenttest.Release{Tag: "v1.1.0", Files: map[string][]byte{"kestrel": arm64[:0:0], "kestrel-arm64": arm64}})
	text := w.read(t)
	w.mustRun(t, exitNewer, "--check")
	mustContain(t, w.out.String(), "v1.0.0 is pinned, and v1.1.0 is the latest release")
	w.mustRun(t, cli.ExitError, "--version", "latest") // its amd64 file is empty
	mustContain(t, w.stderr.String(), "is no program")
	if w.read(t) != text {
		t.Error("the file was changed")
	}
	w.mustRun(t, cli.ExitOK, "--version", "v1.1.0", "--arch", "arm64")
	mustContain(t, w.read(t), `version = "v1.1.0"`)
	if strings.Contains(w.read(t), "amd64") {
		t.Error("an old checksum is left beside the new version")
	}
}

// TestURL: the tag becomes that of a URL, and a link to the file stays one.
func TestURL(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: both})
	w := newWorkspace(t, "fledge.agent(\n    name = \"k\",\n    version = \"v1\",\n)\n")
	link := filepath.Join(w.dir, "link.bazel")
	if err := os.Symlink("MODULE.bazel", link); err != nil {
		t.Fatal(err)
	}
	w.mustRun(t, cli.ExitOK, "--module-file", link, "--url", s.File("v1", "kestrel"))
	mustContain(t, w.read(t), `name = "k"`, `url = "`+s.File("v1", "kestrel"), agenttest.SHA256(amd64),
		`use_repo(fledge, "k")`)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	w.mustRun(t, cli.ExitError, "--check")
	mustContain(t, w.stderr.String(), `"k" has no version`)
}

// TestToken: a server that the file names gets no token, one that the command line names does.
func TestToken(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: both})
	w := newWorkspace(t, "fledge.agent(\n    repository = \""+s.Repository()+"\",\n    version = \"v1\",\n)\n")
	w.mustRun(t, cli.ExitOK, "--check")
	w.mustRun(t, cli.ExitOK, "--check", "--api-url", s.API())
	for i, want := range []string{"", "Bearer SECRET"} {
		if got := s.Requests("/latest")[i].Header.Get("Authorization"); got != want {
			t.Errorf("request %d has the token %q, want %q", i, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	w := newWorkspace(t, "fledge.agent(name = \"a\")\nfledge.agent(name = \"b\")\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, cli.ExitUsage, "give one of --version, --url and --check"},
		{[]string{"--version", "v1", "--check"}, cli.ExitUsage, "give one of"},
		{[]string{"--version", "v1", "--arch", "x86_64"}, cli.ExitUsage, `architecture "x86_64"; there are amd64 and arm64`},
		{[]string{"--version", "v1", "--arch", "amd64,amd64"}, cli.ExitUsage, "amd64 twice"},
		{[]string{"--url", "https://a.b/c", "--repository", "https://a.b/c/d"}, cli.ExitUsage, "not for --url"},
		{[]string{"--check", "--arch", "amd64"}, cli.ExitUsage, "takes no --arch"},
		{[]string{"--check", "more"}, cli.ExitUsage, `unexpected argument "more"`},
		{[]string{"--nothing"}, cli.ExitUsage, "nothing"},
		{[]string{"--version", "v1"}, cli.ExitError, "has several agents; choose one with --name: a, b"},
		{[]string{"--version", "v1", "--name", "a", "--api-url", "http://example.com"}, cli.ExitError, "plain http"},
		{[]string{"--check", "--module-file", "/nowhere/MODULE.bazel"}, cli.ExitError, "/nowhere/MODULE.bazel"},
	} {
		w.mustRun(t, c.code, c.args...)
		mustContain(t, w.stderr.String(), c.want)
	}
	w.dir = ""
	w.mustRun(t, cli.ExitUsage, "--check")
	mustContain(t, w.stderr.String(), "run this with bazel run")
	w.mustRun(t, cli.ExitOK, "--help")
	mustContain(t, w.stderr.String(), "-module-file file")
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		latest, pinned string
		want           bool
	}{
		{"v0.10.0", "v0.9.0", true},
		{"v0.9.0", "v0.10.0", false},
		{"v1.0.0", "v1.0.0-rc.1", true},
		{"v1.0.0", "v1.1.0-rc.1", false},
		{"nightly-2", "nightly-1", true},
		{"nightly-1", "nightly-1", false},
	} {
		if got := newer(c.latest, c.pinned); got != c.want {
			t.Errorf("newer(%s, %s) is %v", c.latest, c.pinned, got)
		}
	}
}

func TestProgress(t *testing.T) {
	now := time.Unix(0, 0)
	show := func(terminal bool) string {
		var w bytes.Buffer
		p := &progress{w: &w, terminal: terminal, now: func() time.Time { return now }}
		for done := int64(0); done <= 10_000_000; done += 500_000 {
			p.bytes(done, 10_000_000)
			now = now.Add(time.Second)
		}
		p.bytes(1_500_000, -1)
		p.note("done")
		return w.String()
	}
	if got, want := show(false), " 25% of 10.0 MB\n 50% of 10.0 MB\n 75% of 10.0 MB\ndone\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	mustContain(t, show(true), "\r\x1b[K[===============               ]  50% of 10.0 MB", "\r\x1b[K1.5 MB\r\x1b[Kdone\n")
}
