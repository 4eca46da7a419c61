package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// Workspace is a Bazel workspace with an output base of its own, both in a folder that goes when the test ends.
type Workspace struct {
	Dir        string
	OutputBase string
	flags      []string // of every command
}

// NewFolder makes an empty folder for Bazel's files. It is in the user's cache folder, as linux-sandbox hides /tmp from
// actions.
func NewFolder(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	parent := filepath.Join(cache, "fledge", "e2e")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(parent, filepath.Base(t.Name())+"-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Bazel takes the write bits from folders, without which an ordinary user cannot remove what is in them.
		if out, err := exec.Command("chmod", "-R", "u+w", dir).CombinedOutput(); err != nil {
			t.Logf("chmod: %v\n%.1000s", err, out)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// NewWorkspace makes a workspace that uses this repository's Fledge as a consumer does, with the given files.
func NewWorkspace(t testing.TB, files map[string]string, flags ...string) *Workspace {
	t.Helper()
	dir := NewFolder(t)
	w := &Workspace{Dir: filepath.Join(dir, "workspace"), OutputBase: filepath.Join(dir, "out"), flags: flags}
	w.Write(t, "MODULE.bazel", fmt.Sprintf(moduleBazel, toolrun.Repository()))
	w.Write(t, ".bazelrc", "import "+filepath.Join(toolrun.Repository(), "e2e/smoke/.bazelrc")+"\n")
	version, err := os.ReadFile(filepath.Join(toolrun.Repository(), ".bazelversion"))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(t, ".bazelversion", string(version))
	for name, content := range files {
		w.Write(t, name, content)
	}
	t.Cleanup(func() { w.Bazel(t, "shutdown") })
	return w
}

const moduleBazel = `module(name = "consumer")

bazel_dep(name = "fledge")
local_path_override(
    module_name = "fledge",
    path = %q,
)

fledge = use_extension("@fledge//fledge:extensions.bzl", "fledge")
fledge.kernel(name = "kernel")
use_repo(fledge, "kernel")
`

// Write makes a file of the workspace.
func (w *Workspace) Write(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Try runs a Bazel command and returns what it printed.
func (w *Workspace) Try(command string, args ...string) (string, error) {
	all := []string{"--output_base=" + w.OutputBase, command}
	if command != "shutdown" {
		all = append(all, w.flags...)
	}
	cmd := exec.Command(filepath.Join(toolrun.Repository(), "bazelw"), append(all, args...)...)
	cmd.Dir = w.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("bazel %s %s: %w\n%s", command, strings.Join(args, " "), err, out[max(0, len(out)-8000):])
	}
	return string(out), err
}

// Bazel runs a Bazel command, which must succeed, and returns how long it took.
func (w *Workspace) Bazel(t testing.TB, command string, args ...string) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := w.Try(command, args...); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// Spawn is an action that Bazel ran, or whose outputs it took from a cache.
type Spawn struct {
	Mnemonic    string `json:"mnemonic"`
	TargetLabel string `json:"targetLabel"`
	CacheHit    bool   `json:"cacheHit"`
	Status      string `json:"status"`
	Runner      string `json:"runner"` // where it ran: "remote", "linux-sandbox", "remote cache hit" and so on
}

// String is the spawn's mnemonic and target.
func (s Spawn) String() string { return s.Mnemonic + " " + s.TargetLabel }

// Build builds targets and returns what was run for them, by Bazel's execution log, and how long it took.
func (w *Workspace) Build(t testing.TB, targets ...string) ([]Spawn, time.Duration) {
	t.Helper()
	return w.Spawns(t, "build", targets...)
}

// Spawns is Build for another command, such as test; args are flags, too.
func (w *Workspace) Spawns(t testing.TB, command string, args ...string) ([]Spawn, time.Duration) {
	t.Helper()
	log := filepath.Join(filepath.Dir(w.OutputBase), "execution.json")
	took := w.Bazel(t, command, append([]string{"--execution_log_json_file=" + log}, args...)...)
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	spawns, err := readSpawns(data)
	if err != nil {
		t.Fatalf("%s: %v", log, err)
	}
	return spawns, took
}

// readSpawns decodes an execution log: JSON objects, one after the other.
func readSpawns(data []byte) ([]Spawn, error) {
	var spawns []Spawn
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var s Spawn
		err := decoder.Decode(&s)
		if errors.Is(err, io.EOF) {
			return spawns, nil
		}
		if err != nil {
			return nil, err
		}
		spawns = append(spawns, s)
	}
}

// Built builds a target of this repository with Bazel and gives the path of a copy of its one file: builds for other
// platforms have their files in the same places.
func Built(t testing.TB, target string, flags ...string) string {
	t.Helper()
	repository, err := os.Open(toolrun.Repository())
	if err != nil {
		t.Fatal(err)
	}
	defer repository.Close() // which ends the lock
	if err := unix.Flock(int(repository.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	bazel := func(args ...string) string {
		cmd := exec.Command("./bazelw", append(args, flags...)...)
		cmd.Dir = toolrun.Repository()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("bazelw %s: %v\n%s", strings.Join(args, " "), err, &stderr)
		}
		return strings.TrimSpace(string(out))
	}
	bazel("build", target)
	// Without config() it also lists what another build of this server had for other platforms.
	built := filepath.Join(toolrun.Repository(), bazel("cquery", "--output=files", "config("+target+", target)"))
	data, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), filepath.Base(built))
	if err := os.WriteFile(file, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}
