package harness

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/e2e/bazel"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

// Workspace is a Bazel workspace with an output base of its own, both in a folder that goes when the test ends.
type Workspace struct{ *bazel.Workspace }

// Spawn is an action that Bazel ran, or whose outputs it took from a cache.
type Spawn = bazel.Spawn

// NewFolder makes an empty folder for Bazel's files.
func NewFolder(t testing.TB) string {
	t.Helper()
	parent, err := bazel.Parent()
	if err != nil {
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
	made, err := bazel.New(NewFolder(t), flags...)
	if err != nil {
		t.Fatal(err)
	}
	w := &Workspace{made}
	for name, content := range files {
		w.Write(t, name, content)
	}
	t.Cleanup(func() { w.Bazel(t, "shutdown") })
	return w
}

// Write makes a file of the workspace.
func (w *Workspace) Write(t testing.TB, name, content string) {
	t.Helper()
	if err := w.Workspace.Write(name, content); err != nil {
		t.Fatal(err)
	}
}

// Try runs a Bazel command and returns what it printed.
func (w *Workspace) Try(command string, args ...string) (string, error) {
	return w.Run(command, args...)
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

// Build builds targets and returns what was run for them, by Bazel's execution log, and how long it took.
func (w *Workspace) Build(t testing.TB, targets ...string) ([]Spawn, time.Duration) {
	t.Helper()
	return w.Spawns(t, "build", targets...)
}

// Spawns is Build for another command, such as test; args are flags, too.
func (w *Workspace) Spawns(t testing.TB, command string, args ...string) ([]Spawn, time.Duration) {
	t.Helper()
	spawns, took, err := w.Workspace.Spawns(command, args...)
	if err != nil {
		t.Fatal(err)
	}
	return spawns, took
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
