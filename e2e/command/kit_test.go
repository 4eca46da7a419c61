// Package command tests the fledge command as a user has it: one file, recipes, registries and servers on this machine, and
// real boots of what it builds.
package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/agent/agenttest"
	"github.com/fledge-build/fledge/internal/registrytest"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// kit is what the tests have in common, made once.
type kit struct {
	dir, fledge     string
	agent, server   string // programs of the examples
	busybox         string
	kernel, modules string
	store           string // the command's cache, which all tests share
	registry        string // host and port
	releases        *agenttest.Server
	files           string // URL of a server with the files agent and busybox
}

// newKit makes the kit, or skips the test and says why.
func newKit(t *testing.T) *kit {
	t.Helper()
	harness.NeedSlow(t, "builds the command and the guest, solves Dockerfiles and boots images")
	k := &kit{dir: t.TempDir(), kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), modules: os.Getenv("FLEDGE_KERNEL_MODULES"), busybox: "/bin/busybox"}
	if k.kernel == "" || k.modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	if _, err := qemu.Find(runtime.GOARCH, os.Getenv(qemu.Variable(runtime.GOARCH))); err != nil {
		t.Skip(err)
	}
	for _, need := range []struct{ program, deb string }{
		{"docker-registry", "docker-registry"}, {"skopeo", "skopeo"}, {k.busybox, "busybox-static"},
	} {
		if _, err := exec.LookPath(need.program); err != nil {
			t.Skipf("%v (Debian: apt-get install %s)", err, need.deb)
		}
	}
	k.store = filepath.Join(k.dir, "store")
	k.build(t)
	k.serve(t)
	return k
}

// build compiles the command with its payload, and the examples' programs.
func (k *kit) build(t *testing.T) {
	t.Helper()
	program := func(name string) string { return filepath.Join(k.dir, name) }
	linux := []string{"GOOS=linux", "GOARCH=" + runtime.GOARCH}
	for _, b := range []struct {
		module, pkg, out string
	}{
		{".", "./tools/fledge", "fledge-bare"}, {".", "./tools/fledge/mkdist", "mkdist"}, {".", "./tools/init", "init"},
		{"tools/guest", ".", "guest"}, {".", "./tools/fill", "fill"}, {".", "./examples/hello/agent", "kestrel"}, {".", "./examples/hello/server", "server"},
	} {
		if err := toolrun.Build(b.module, b.pkg, program(b.out), linux...); err != nil {
			t.Fatal(err)
		}
	}
	k.fledge, k.agent, k.server = program("fledge"), program("kestrel"), program("server")
	k.makeDist(t, k.fledge, program("init"))
}

// makeDist puts the command and what it brings along into one file.
func (k *kit) makeDist(t *testing.T, out, init string) {
	t.Helper()
	program := func(name string) string { return filepath.Join(k.dir, name) }
	// Only this machine's architecture is built and booted here: the other's programs are stand-ins, which never run.
	args := []string{"--executable", program("fledge-bare"), "--go-sum", filepath.Join(toolrun.Repository(), "go.sum"), "--out", out}
	for _, arch := range []string{"amd64", "arm64"} {
		args = append(args, "--init-"+arch, init, "--guest-"+arch, program("guest"), "--fill-"+arch, program("fill"))
	}
	harness.MustRun(t, program("mkdist"), args...)
}

// serve starts the servers: a registry, releases of the agent, and plain files.
func (k *kit) serve(t *testing.T) {
	t.Helper()
	k.registry = registrytest.StartOpen(t).Addr
	kestrel, err := os.ReadFile(k.agent)
	if err != nil {
		t.Fatal(err)
	}
	k.releases = agenttest.New(t, &agenttest.Release{Tag: "v0.7.3", Files: map[string][]byte{"kestrel": kestrel, "kestrel-arm64": kestrel}})
	mux := http.NewServeMux()
	for name, file := range map[string]string{"/kestrel": k.agent, "/busybox": k.busybox} {
		mux.HandleFunc(name, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	files := httptest.NewServer(mux)
	t.Cleanup(files.Close)
	k.files = files.URL
}

// run is a run of the command.
type run struct {
	stdout, stderr string
	code           int
}

// command prepares a run of the command in a folder, with nothing of the user's own settings.
func (k *kit) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.fledge, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "FLEDGE_CACHE="+k.store, "FLEDGE_BUILDKIT_MODE=", "GITHUB_TOKEN=", "DOCKER_CONFIG="+k.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// try runs the command.
func (k *kit) try(t *testing.T, dir string, args ...string) run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := k.command(ctx, dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return run{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs the command, which must succeed.
func (k *kit) must(t *testing.T, dir string, args ...string) run {
	t.Helper()
	r := k.try(t, dir, args...)
	if r.code != 0 {
		t.Fatalf("fledge %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// boot boots an image until all texts are on its console.
func (k *kit) boot(t *testing.T, dir, image string, texts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := k.command(ctx, dir, "boot", image, "--memory", "512", "--cpus", "1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	console, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	left := texts
	for s := bufio.NewScanner(console); len(left) > 0 && s.Scan(); {
		lines = append(lines, s.Text())
		var still []string
		for _, text := range left {
			if !strings.Contains(s.Text(), text) {
				still = append(still, text)
			}
		}
		left = still
	}
	cancel()
	cmd.Wait() // an interrupt is an error to it
	if len(left) > 0 {
		t.Fatalf("not on the console: %q\n%s\n%s", left, strings.Join(lines[max(0, len(lines)-40):], "\n"), stderr.String())
	}
}

// project is a folder with files, by their names; the programs server and kestrel are there as well when asked for.
func (k *kit) project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		if program, ok := map[string]string{"SERVER": k.server, "KESTREL": k.agent}[content]; ok {
			b, err := os.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			content, mode = string(b), 0o755
		}
		if err := os.WriteFile(path, []byte(k.fill(content)), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fill replaces what recipes say of the servers and of the kernel.
func (k *kit) fill(text string) string {
	return strings.NewReplacer("@REGISTRY@", k.registry, "@REPOSITORY@", k.releases.Repository(), "@FILES@", k.files,
		"@MODULES@", k.modules).Replace(text)
}
