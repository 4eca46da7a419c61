// Package dockerfiles builds one Dockerfile for each feature of the language with Fledge and with programs that are
// known to be right, buildkitd with runc and buildah, and compares the images: file tree and configuration, apart from
// times. It tries the daemon mode against the same buildkitd, too.
package dockerfiles

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// workDir is a folder for what all tests share. It is not in t.TempDir, whose names are too long for a socket.
var workDir string

func TestMain(m *testing.M) { os.Exit(inWorkDir(m.Run)) }

func inWorkDir(run func() int) int {
	dir, err := os.MkdirTemp("", "fledge-dockerfiles-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	workDir = dir
	defer stopDaemon()
	return run()
}

// needRoot skips what builds images.
func needRoot(t *testing.T) {
	t.Helper()
	imagetest.NeedRoot(t, "unshare", "umoci")
}

// guest builds the program tools/guest.
var guest = sync.OnceValues(func() (string, error) { return goBuild("tools/guest", ".", "guest") })

// buildctl builds BuildKit's own client.
var buildctl = sync.OnceValues(func() (string, error) {
	return goBuild("e2e/buildkitd", "github.com/moby/buildkit/cmd/buildctl", "buildctl")
})

func must(t *testing.T, program func() (string, error)) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// goBuild builds a package of the module in a folder of the repository.
func goBuild(module, pkg, name string) (string, error) {
	path := filepath.Join(workDir, name)
	if err := toolrun.Build(module, pkg, path); err != nil {
		return "", err
	}
	return path, nil
}

// output is what a program prints, which must succeed.
func output(command ...string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, stderr.Bytes())
	}
	return string(out), nil
}

// run runs a program in dir, which must succeed.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
}

// The daemon is of the BuildKit that is in the guest.
func TestSameBuildKit(t *testing.T) {
	version := func(module string) string {
		cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/moby/buildkit")
		cmd.Dir = filepath.Join(toolrun.Repository(), module)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", module, err, out)
		}
		return string(out)
	}
	if guest, daemon := version("tools/guest"), version("e2e/buildkitd"); guest != daemon {
		t.Errorf("tools/guest has BuildKit %s and e2e/buildkitd %s: give both the same", guest, daemon)
	}
}
