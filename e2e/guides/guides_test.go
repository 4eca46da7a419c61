// Package guides does what the guides in docs/ tell: it writes their files and runs their commands, in order, as somebody does
// who reads them, and compares what is printed with what they show. It also checks all links of the documentation.
package guides

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

const (
	first     = "first-image.md" // the guide that others go on from
	workspace = "hello"          // that it makes
)

// others are guides beside those in docs/guides.
var others = []string{"migrate.md"}

func guides(t *testing.T) []string {
	t.Helper()
	docs := filepath.Join(toolrun.Repository(), "docs")
	pages, err := filepath.Glob(filepath.Join(docs, "guides", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no guides in %s: %v", docs, err)
	}
	for _, name := range others {
		pages = append(pages, filepath.Join(docs, name))
	}
	return pages
}

// TestGuidesAreComplete reads all guides, without running anything: each has commands, and blocks that the test understands.
func TestGuidesAreComplete(t *testing.T) {
	for _, page := range guides(t) {
		g, err := readGuide(page)
		if err != nil {
			t.Error(err)
			continue
		}
		commands := 0
		for _, b := range g.blocks {
			commands += len(b.steps)
		}
		if commands == 0 {
			t.Errorf("%s has no commands", page)
		}
		if g.begins != "" && g.begins != first {
			t.Errorf("%s begins where %s ends, and only %s can be that", page, g.begins, first)
		}
	}
}

func TestGuides(t *testing.T) {
	k := newKit(t)
	run := func(path string) bool {
		return t.Run(strings.TrimSuffix(filepath.Base(path), ".md"), func(t *testing.T) {
			g, err := readGuide(path)
			if err != nil {
				t.Fatal(err)
			}
			k.newReader(t, g).follow(t, g)
		})
	}
	if !run(filepath.Join(toolrun.Repository(), "docs/guides", first)) {
		t.Fatal("others begin where this one ends")
	}
	k.keepWorkspace(t)
	for _, path := range guides(t) {
		if filepath.Base(path) != first {
			run(path)
		}
	}
}

// reader is who reads a guide: a shell, whose folder and variables stay from one command to the next.
type reader struct {
	kit        *kit
	state      string // folder with the shell's state between commands
	lastDigest string // that the last command told to pin
}

// newReader makes one beside a checkout of Fledge. All guides are in one folder, one after the other, as Bazel begins anew in another
// one; the folder is empty, or has the workspace that keepWorkspace kept.
func (k *kit) newReader(t *testing.T, g *guide) *reader {
	t.Helper()
	dir := filepath.Join(k.dir, "home")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(toolrun.Repository(), filepath.Join(dir, "fledge")); err != nil {
		t.Fatal(err)
	}
	if g.begins != "" {
		harness.MustRun(t, "cp", "-a", filepath.Join(k.dir, workspace), dir)
		dir = filepath.Join(dir, workspace)
	}
	r := &reader{kit: k, state: t.TempDir()}
	for name, content := range map[string]string{"env": "", "cwd": dir} {
		if err := os.WriteFile(filepath.Join(r.state, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// keepWorkspace keeps what the first guide made.
func (k *kit) keepWorkspace(t *testing.T) {
	t.Helper()
	harness.MustRun(t, "cp", "-a", filepath.Join(k.dir, "home", workspace), k.dir)
}

// follow does what a guide says.
func (r *reader) follow(t *testing.T, g *guide) {
	t.Helper()
	for _, b := range g.blocks {
		at := fmt.Sprintf("%s:%d", g.name, b.line)
		switch {
		case b.notRun != "":
			t.Logf("%s is not run: %s", at, b.notRun)
		case b.file != "":
			r.write(t, at, b.file, b.text)
		}
		for i, s := range b.steps {
			r.do(t, fmt.Sprintf("%s:%d", g.name, s.line), s, b.fails && i == len(b.steps)-1)
		}
	}
}

// folder is where the shell is.
func (r *reader) folder(t *testing.T) string {
	t.Helper()
	dir, err := os.ReadFile(filepath.Join(r.state, "cwd"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(dir))
}

// write makes a file. "sha256:…" in it is the digest that the last command told, as a reader would fill it in.
func (r *reader) write(t *testing.T, at, name, content string) {
	t.Helper()
	if strings.Contains(content, "sha256:…") {
		if r.lastDigest == "" {
			t.Fatalf("%s has a digest left out, and the command before told none", at)
		}
		content = strings.ReplaceAll(content, "sha256:…", r.lastDigest)
	}
	path := filepath.Join(r.folder(t), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(r.kit.standInFile(content)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shell takes a command and the folder with its state.
const shell = `. "$2/env"
cd "$(cat "$2/cwd")" || exit
trap 'status=$?; export -p >"$2/env"; pwd >"$2/cwd"; exit $status' EXIT
eval "$1"
`

var digestLine = regexp.MustCompile(`digest = "(sha256:[0-9a-f]{64})"`)

// do runs a command.
func (r *reader) do(t *testing.T, at string, s step, fails bool) {
	t.Helper()
	cmd := exec.Command("bash", "-c", shell, "bash", r.kit.standInCommand(s.command), r.state)
	cmd.Env = append(os.Environ(), r.kit.env...)
	output, err := cmd.CombinedOutput()
	if (err != nil) != fails {
		t.Fatalf("%s: $ %s\n%v; it has to fail: %v\n%s", at, s.command, err, fails, output)
	}
	if err := compare(s.output, string(output)); err != nil {
		t.Fatalf("%s: $ %s\n%v\nAll of it:\n%s", at, s.command, err, output)
	}
	if found := digestLine.FindSubmatch(output); found != nil {
		r.lastDigest = string(found[1])
	}
	t.Logf("%s: $ %s", at, s.command)
}
