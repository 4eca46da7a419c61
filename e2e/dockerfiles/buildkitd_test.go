package dockerfiles

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// daemon is a buildkitd that runs steps with runc.
type daemon struct {
	cmd    *exec.Cmd
	log    bytes.Buffer
	socket string // its address
	tcp    string // its address with TLS
	certs  certificates
}

// theDaemon is the one of all tests; stopDaemon ends it.
var theDaemon *daemon

var startOnce = sync.OnceValue(func() (err error) {
	theDaemon, err = startDaemon()
	return err
})

func needDaemon(t *testing.T) *daemon {
	t.Helper()
	needRoot(t)
	imagetest.Need(t, "runc")
	if err := startOnce(); err != nil {
		t.Fatal(err)
	}
	return theDaemon
}

// startDaemon starts a buildkitd in a mount namespace of its own, so that no mount of its outlives it.
func startDaemon() (*daemon, error) {
	program, err := goBuild("e2e/buildkitd", "github.com/moby/buildkit/cmd/buildkitd", "buildkitd")
	if err != nil {
		return nil, err
	}
	d := &daemon{socket: "unix://" + filepath.Join(workDir, "s")}
	if d.certs, err = makeCertificates(filepath.Join(workDir, "certs")); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	d.tcp = fmt.Sprintf("tcp://127.0.0.1:%d", port)
	config := filepath.Join(workDir, "buildkitd.toml")
	if err := os.WriteFile(config, nil, 0o644); err != nil {
		return nil, err
	}
	d.cmd = exec.Command("unshare", "--mount", "--propagation", "private", program, "--config", config,
		"--root", filepath.Join(workDir, "state"), "--otel-socket-path", filepath.Join(workDir, "otel"), "--cdi-disabled",
		"--addr", d.socket, "--addr", d.tcp,
		"--tlscacert", d.certs.ca, "--tlscert", d.certs.serverCert, "--tlskey", d.certs.serverKey,
		"--containerd-worker=false", "--oci-worker-binary", "runc", "--oci-worker-snapshotter", "overlayfs")
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	return d, d.ready()
}

func (d *daemon) ready() error {
	const patience = 30 * time.Second
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("unix", filepath.Join(workDir, "s"))
		if err == nil {
			return c.Close()
		}
		if d.cmd.Process.Signal(syscall.Signal(0)) != nil {
			break
		}
	}
	d.stop()
	return errors.New("buildkitd does not answer:\n" + d.log.String())
}

func (d *daemon) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(20*time.Second, func() { d.cmd.Process.Kill() })
	defer timer.Stop()
	d.cmd.Wait()
}

func stopDaemon() {
	if theDaemon != nil {
		theDaemon.stop()
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
