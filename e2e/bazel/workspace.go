// Package bazel makes workspaces that use this repository's Fledge as a consumer does, runs Bazel in them and reads what
// it ran from its execution log.
package bazel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// Workspace is a Bazel workspace with an output base of its own, both in one folder.
type Workspace struct {
	Dir        string
	OutputBase string
	Flags      []string // of every command but shutdown
}

// Parent is the folder for the folders of workspaces, which it makes. It is in the user's cache folder, as linux-sandbox
// hides /tmp from actions.
func Parent() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "fledge", "e2e")
	return parent, os.MkdirAll(parent, 0o755)
}

// New makes a workspace in the folder dir.
func New(dir string, flags ...string) (*Workspace, error) {
	w := &Workspace{Dir: filepath.Join(dir, "workspace"), OutputBase: filepath.Join(dir, "out"), Flags: flags}
	version, err := os.ReadFile(filepath.Join(toolrun.Repository(), ".bazelversion"))
	if err != nil {
		return nil, err
	}
	for name, content := range map[string]string{
		"MODULE.bazel":  fmt.Sprintf(moduleBazel, toolrun.Repository()),
		".bazelrc":      "import " + filepath.Join(toolrun.Repository(), "e2e/smoke/.bazelrc") + "\n",
		".bazelversion": string(version),
	} {
		if err := w.Write(name, content); err != nil {
			return nil, err
		}
	}
	return w, nil
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
func (w *Workspace) Write(name, content string) error {
	path := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// Run runs a Bazel command and returns what it printed. An error has the end of that.
func (w *Workspace) Run(command string, args ...string) (string, error) {
	all := []string{"--output_base=" + w.OutputBase, command}
	if command != "shutdown" {
		all = append(all, w.Flags...)
	}
	cmd := exec.Command(filepath.Join(toolrun.Repository(), "bazelw"), append(all, args...)...)
	cmd.Dir = w.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("bazel %s %s: %w\n%s", command, strings.Join(args, " "), err, out[max(0, len(out)-8000):])
	}
	return string(out), err
}

// Build builds targets, to which flags may be added, and returns what was run for them, by Bazel's execution log, and how
// long it took.
func (w *Workspace) Build(targets ...string) ([]Spawn, time.Duration, error) {
	return w.Spawns("build", targets...)
}

// Spawns is Build for another command, such as test.
func (w *Workspace) Spawns(command string, args ...string) ([]Spawn, time.Duration, error) {
	log := filepath.Join(filepath.Dir(w.OutputBase), "execution.json")
	start := time.Now()
	if _, err := w.Run(command, append([]string{"--execution_log_json_file=" + log}, args...)...); err != nil {
		return nil, 0, err
	}
	took := time.Since(start)
	f, err := os.Open(log)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	spawns, err := readSpawns(f)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", log, err)
	}
	return spawns, took, nil
}
