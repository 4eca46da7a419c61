package remote

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
)

// startWorkers starts buildbox-casd, which keeps files and results and runs actions, and gives its address. An action has
// a root of its own with its inputs, /dev, /proc and /tmp, and no network. One with the execution property inject=machine
// also has what is installed here, read-only, as a worker has it that runs virtual machines.
func startWorkers(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("FLEDGE_BUILDBOX")
	casd, err := exec.LookPath(filepath.Join(folder, "buildbox-casd"))
	if err != nil {
		t.Skipf("%v: run bazelw --fledge-setup with FLEDGE_SETUP_BUILDBOX=1, and set FLEDGE_BUILDBOX to what it prints", err)
	}
	path := "PATH=" + filepath.Dir(casd) + ":" + os.Getenv("PATH")
	checkSandbox(t, path)
	runner := filepath.Join(filepath.Dir(casd), "buildbox-run-bubblewrap")
	socket := filepath.Join(t.TempDir(), "casd")
	args := []string{"--bind=unix:" + socket, "--jobs=2", "--quota-high=10G", "--buildbox-run=" + runner}
	for _, bind := range installed() {
		args = append(args, "--runner-arg=--ro-bind-mount=machine:"+bind)
	}
	cmd := exec.Command(casd, append(args, filepath.Join(harness.NewFolder(t), "casd"))...)
	cmd.Env = append(os.Environ(), path)
	startServer(t, cmd, socket)
	return forward(t, socket, true)
}

// checkSandbox skips the test where the kernel lets nobody make a sandbox.
func checkSandbox(t *testing.T, path string) {
	t.Helper()
	script := "bwrap --unshare-user --unshare-pid --unshare-net --ro-bind / / --proc /proc --dev /dev true"
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("bubblewrap makes no sandbox here: %v: %s", err, out)
	}
}

// installed lists where this machine's programs are, and where an action sees them, HERE:THERE.
func installed() []string {
	binds := []string{"/usr:/usr", "/usr/bin:/bin", "/usr/lib:/lib", "/usr/lib64:/lib64"}
	if qemu := os.Getenv("FLEDGE_QEMU"); qemu != "" && !strings.HasPrefix(qemu, "/usr/") {
		folder := filepath.Dir(filepath.Dir(qemu))
		binds = append(binds, folder+":"+folder)
	}
	return binds
}

// find is a program's path: what Debian has in /usr/sbin is on root's PATH alone.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + program)
	}
	return path, err
}

// findNginx is the web server's path.
func findNginx() (string, error) {
	path, err := find("nginx")
	if err != nil {
		return "", fmt.Errorf("%w: install it (Debian: apt install nginx-light)", err)
	}
	return path, nil
}

// startCache starts nginx, as docs/remote-execution.md configures it, and gives its address.
func startCache(t *testing.T, nginx string) string {
	t.Helper()
	run, store := t.TempDir(), filepath.Join(harness.NewFolder(t), "cache")
	if err := os.Mkdir(store, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(run, "socket")
	server := documented(t, "nginx", "127.0.0.1:8080", "unix:"+socket, "/var/cache/bazel", store)
	conf := filepath.Join(run, "nginx.conf")
	if err := os.WriteFile(conf, []byte(fmt.Sprintf(nginxConf, run, server)), 0o644); err != nil {
		t.Fatal(err)
	}
	startServer(t, exec.Command(nginx, "-c", conf, "-e", "stderr"), socket)
	return forward(t, socket, false)
}

// nginxConf is what a distribution has around a server, with all it writes in one folder. The test's folders are for its
// user alone.
const nginxConf = `daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
%[2]s}
`

// startServer starts a program, which ends with the test, and waits until it listens at a Unix socket.
func startServer(t *testing.T, cmd *exec.Cmd, socket string) {
	t.Helper()
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Errorf("%s does not end", cmd.Path)
			cmd.Process.Kill()
			<-ended
		}
		if text := log.String(); t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, text[max(0, len(text)-8000):])
		}
	})
	for range 600 {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", cmd.Path, err, log.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", cmd.Path)
}
