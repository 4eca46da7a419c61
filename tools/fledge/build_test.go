package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/agent/agenttest"
	"github.com/fledge-build/fledge/internal/cli"
)

// TestSolveFlags: those about a solve are an error where there is none.
func TestSolveFlags(t *testing.T) {
	recipe := filepath.Join(t.TempDir(), "fledge.toml")
	if err := os.WriteFile(recipe, []byte("version = \"1\"\nstrategy = \"initramfs\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--network", "--no-cache", "--vmm=qemu", "--kernel=k", "--kernel-modules=m"} {
		_, _, err := fledge(t, "build", "--config", recipe, flag)
		if err == nil || cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), "fledge.toml has no Dockerfile") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}

// project is a folder with a recipe that can be built from this machine alone: busybox, a stand-in, comes from a server here.
func project(t *testing.T) (dir string) {
	t.Helper()
	standIn(t, "")
	t.Setenv(cacheVariable, filepath.Join(t.TempDir(), "store"))
	applets := "\x00" + strings.Join([]string{"[", "ash", "cat", "cp", "echo", "ls", "mount", "ps", "sed", "sh"}, "\x00") + "\x00"
	busybox := append(agenttest.Program("amd64", 500), applets...)
	busybox[20], busybox[52], busybox[54], busybox[58] = 1, 64, 56, 64 // of an ELF header: version, and sizes
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { agenttest.ServeFile(w, r, busybox) }))
	t.Cleanup(server.Close)
	dir = t.TempDir()
	for name, content := range map[string]string{
		"fledge.toml": "version = \"1\"\nstrategy = \"initramfs\"\n[init]\nnone = true\n[source]\nbusybox_url = \"" + server.URL +
			"/busybox\"\n[mappings]\n\"app\" = \"/init\"\n",
		"manifest.toml": "name = \"app\"\nversion = \"1.0.0\"\n[workload]\nentrypoint = [\"/init\"]\n[network]\nexpose = [{ port = 80 }]\n",
		"app":           "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// TestBuild builds a recipe in the current folder.
func TestBuild(t *testing.T) {
	dir := project(t)
	t.Chdir(dir)
	stdout, stderr, err := fledge(t, "build", "--arch", "amd64")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	lines := strings.Split(stdout, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "app.manifest.json: ") || !strings.HasPrefix(lines[1], "app.cpio.gz: ") {
		t.Errorf("it says %q", stdout)
	}
	if got, want := list(t, dir), []string{"app", "app.cpio.gz", "app.manifest.json", "fledge.lock", "fledge.toml", "manifest.toml"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	stdout, stderr, err = fledge(t, "build", "--arch", "amd64", "--locked", "--quiet", "--output", "new/dist/web.cpio.gz")
	if err != nil || stderr != "" || !strings.Contains(stdout, "new/dist/web.cpio.gz: ") {
		t.Errorf("%v, %q, %q", err, stdout, stderr)
	}
	if got, want := list(t, "new/dist"), []string{"web.cpio.gz", "web.manifest.json"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// TestNobodyReads has what reads the output go away: the build ends and leaves nothing.
func TestNobodyReads(t *testing.T) {
	dir := project(t)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before := list(t, dir)
	cmd := exec.Command(executable, "build", "--arch", "amd64", "--progress", "plain")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asFledge+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(stderr); s.Scan() && s.Text() != "write app.cpio.gz …"; {
	}
	stderr.Close()
	want := before
	if err := cmd.Wait(); err == nil { // it was done before it noticed
		want = []string{"app", "app.cpio.gz", "app.manifest.json", "fledge.lock", "fledge.toml", "manifest.toml"}
	}
	if after := list(t, dir); !slices.Equal(after, want) {
		t.Errorf("files %q, want %q", after, want)
	}
}

// TestClean removes what a build keeps; the next one makes the same.
func TestClean(t *testing.T) {
	t.Chdir(project(t))
	first, stderr, err := fledge(t, "build", "--arch", "amd64", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	cache := os.Getenv(cacheVariable)
	stdout, _, err := fledge(t, "clean")
	if err != nil || !strings.HasPrefix(stdout, cache+": ") || !strings.HasSuffix(stdout, "B freed\n") || strings.Contains(stdout, ": 0 B") {
		t.Errorf("%v, %q", err, stdout)
	}
	if left := list(t, cache); !slices.Equal(left, []string{"CACHEDIR.TAG"}) {
		t.Errorf("left are %q", left)
	}
	stdout, _, err = fledge(t, "clean", "--json")
	if want := `{"event":"result","cache":"` + cache + `","freed":0}` + "\n"; err != nil || stdout != want {
		t.Errorf("%v, %q, want %q", err, stdout, want)
	}
	again, _, err := fledge(t, "build", "--arch", "amd64", "--json", "--locked")
	digest := regexp.MustCompile(`"path":"app.cpio.gz","size":\d+,"digest":"[^"]*"`)
	if err != nil || digest.FindString(first) == "" || digest.FindString(again) != digest.FindString(first) {
		t.Errorf("%v, %s, first %s", err, again, first)
	}
	_, stderr, err = fledge(t, "clean", "--cache", ".")
	if err == nil || !strings.Contains(err.Error(), "is no folder that fledge made") {
		t.Errorf("%v, %s", err, stderr)
	}
}

// TestUpdateDockerfile renews the lock of a Dockerfile that has no recipe.
func TestUpdateDockerfile(t *testing.T) {
	t.Setenv(cacheVariable, filepath.Join(t.TempDir(), "store"))
	dir := t.TempDir()
	now := agenttest.Program("amd64", 200)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { agenttest.ServeFile(w, r, now) }))
	t.Cleanup(server.Close)
	dockerfile := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{server.URL + "/k for amd64: sha256:" + agenttest.SHA256(now) + "\n", ", was sha256:", ", as before"} {
		if strings.Contains(want, "was") {
			now = agenttest.Program("amd64", 300)
		}
		stdout, stderr, err := fledge(t, "update", dockerfile, "--agent", server.URL+"/k", "--arch", "amd64")
		if err != nil || !strings.Contains(stdout, want) {
			t.Errorf("%v, %q, want %q\n%s", err, stdout, want, stderr)
		}
		if lock, err := os.ReadFile(filepath.Join(dir, "fledge.lock")); err != nil || !strings.Contains(string(lock), agenttest.SHA256(now)) {
			t.Errorf("%v, %s", err, lock)
		}
	}
	stdout, _, err := fledge(t, "update", dockerfile, "--agent", "./kestrel", "--json")
	if last := stdout[strings.LastIndex(stdout, `{"event":"result"`):]; err != nil || !strings.HasSuffix(last, `"pins":[]}`+"\n") {
		t.Errorf("nothing to pin: %v, %s", err, stdout)
	}
}
