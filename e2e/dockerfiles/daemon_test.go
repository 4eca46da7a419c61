package dockerfiles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// solver builds the program that the rule runs.
var solver = sync.OnceValues(func() (string, error) { return goBuild(".", "./tools/solver", "solver") })

// small is enough of a Dockerfile to try the way to a daemon.
var small = dockerfile{text: `
FROM base:1
COPY a /a
RUN ls /sys/class/net | wc -l > /devices && sha256sum /a > /sum
`, context: map[string]string{"a": "a"}}

// solverCommand is a command line of the solver, with an image's folder.
func solverCommand(t *testing.T, base baseImage, d dockerfile, args ...string) (cmd *exec.Cmd, out string) {
	t.Helper()
	dir := t.TempDir()
	images := filepath.Join(dir, "images")
	if err := os.WriteFile(images, fmt.Appendf(nil, `{"refs": [%q], "layout": %q}`, baseRef, base.layout), 0o644); err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(dir, "out")
	cmd = exec.CommandContext(t.Context(), must(t, solver), append([]string{"--mode", "daemon", "--guest", must(t, guest),
		"--spec", d.spec(t), "--images", images, "--build-arg", fmt.Sprint("SOURCE_DATE_EPOCH=", epoch), "--out", out}, args...)...)
	return cmd, out
}

// TestDaemonTLS has the solver reach the buildkitd by TCP.
func TestDaemonTLS(t *testing.T) {
	harness.NeedSlow(t, "builds buildkitd")
	base, d := needBase(t), needDaemon(t)
	o := small.options(t, base)
	o.Program = embedded(t)
	_, want := fledge(t, o)
	client := []string{"--tls-cert", d.certs.clientCert, "--tls-key", d.certs.clientKey}
	server := []string{"--tls-ca", d.certs.ca, "--tls-server-name", serverName}
	for _, c := range []struct {
		name string
		args []string
		want string // in what it prints
	}{
		{"both sides", append(client, server...), want},
		{"no certificate of the client", server, "buildkitd at " + d.tcp + ": "},
		{"another name", append(client, "--tls-ca", d.certs.ca, "--tls-server-name", "other"), serverName},
		{"unknown authority", append(client, "--tls-ca", d.certs.clientCert, "--tls-server-name", serverName), "unknown authority"},
		{"no TLS", nil, "buildkitd at " + d.tcp + ": "},
		{"no such file", append(client, "--tls-ca", "/none"), "/none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, out := solverCommand(t, base, small, append(c.args, "--addr", d.tcp)...)
			text, err := cmd.CombinedOutput()
			if (err == nil) != (c.want == want) || !strings.Contains(string(text), c.want) {
				t.Errorf("error %v, want %q in:\n%s", err, c.want, text)
			}
			if _, statErr := os.Stat(out); (statErr == nil) != (err == nil) {
				t.Errorf("image: %v, after: %v", statErr, err)
			}
		})
	}
}

// dockerStandIn is a stand-in for docker alone: it knows one container, "box", whose programs it runs on this machine.
// The buildctl that docker would run in the container, and the buildkitd, are real.
const dockerStandIn = `#!/bin/sh
if [ "$*" != "exec -i box buildctl dial-stdio" ]; then
  echo "stand-in for docker: no such container: $*" >&2
  exit 1
fi
exec '%s' --addr '%s' dial-stdio
`

// TestDaemonContainer reaches the buildkitd as one in a container is reached, by the standard streams of docker exec.
func TestDaemonContainer(t *testing.T) {
	harness.NeedSlow(t, "builds buildkitd and buildctl")
	base, d := needBase(t), needDaemon(t)
	path := t.TempDir()
	docker := fmt.Sprintf(dockerStandIn, must(t, buildctl), d.socket)
	if err := os.WriteFile(filepath.Join(path, "docker"), []byte(docker), 0o755); err != nil {
		t.Fatal(err)
	}
	o := small.options(t, base)
	o.Program = embedded(t)
	_, want := fledge(t, o)
	for _, c := range []struct {
		name string
		ok   bool
		want string // in what it prints
	}{
		{"box", true, want},
		{"other", false, "no such container: exec -i other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, _ := solverCommand(t, base, small, "--addr", "docker-container://"+c.name)
			cmd.Env = []string{"PATH=" + path}
			text, err := cmd.CombinedOutput()
			if (err == nil) != c.ok || !strings.Contains(string(text), c.want) {
				t.Errorf("error %v, want %q in:\n%s", err, c.want, text)
			}
		})
	}
}

// TestDaemonUnreachable needs no daemon.
func TestDaemonUnreachable(t *testing.T) {
	harness.NeedSlow(t, "builds the guest")
	base := needBase(t)
	empty := t.TempDir()
	for addr, want := range map[string]string{
		"unix://" + empty + "/none": "buildkitd at unix://" + empty + "/none: ",
		"tcp://127.0.0.1:1":         "connection refused",
		"docker-container://none":   "executable file not found",
		"docker-container://":       "lacks container name",
		"pigeon://coop":             "pigeon",
		"/run/socket":               "it must be an address like unix:///run/buildkit/buildkitd.sock",
	} {
		t.Run(addr, func(t *testing.T) {
			cmd, _ := solverCommand(t, base, small, "--addr", addr)
			cmd.Env = []string{"PATH=" + empty}
			text, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(text), want) {
				t.Errorf("error %v, want %q in:\n%s", err, want, text)
			}
			if lines := strings.Count(string(text), "\n"); lines > 2 {
				t.Errorf("%d lines:\n%s", lines, text)
			}
		})
	}
}

// TestDaemonNetwork shows that a step in a daemon has the network only if the job says so, and that no worker setting is
// needed then.
func TestDaemonNetwork(t *testing.T) {
	harness.NeedSlow(t, "builds buildkitd")
	base, d := needBase(t), needDaemon(t)
	for _, network := range []bool{false, true} {
		o := dockerfile{text: "FROM base:1\nRUN ls /sys/class/net | wc -l\n"}.options(t, base)
		o.Job.Network, o.Program = network, d.program(t)
		devices := ""
		o.Event = func(e wire.Event) {
			if e.Kind == wire.EventLog {
				devices = e.Text
			}
		}
		if _, err := solve.Solve(t.Context(), filepath.Join(t.TempDir(), "out"), o); err != nil {
			t.Errorf("network %v: %v", network, err)
		}
		if (devices == "1") == network {
			t.Errorf("network %v: %s network devices", network, devices)
		}
	}
	o := dockerfile{text: "FROM base:1\nADD http://example.com/x /x\n"}.options(t, base)
	o.Program = d.program(t)
	var failure *solve.Error
	_, err := solve.Solve(t.Context(), filepath.Join(t.TempDir(), "out"), o)
	if !errors.As(err, &failure) || failure.Kind != wire.FailSource {
		t.Errorf("error %v", err)
	}
}

// TestDaemonCancel ends a solve in the middle.
func TestDaemonCancel(t *testing.T) {
	harness.NeedSlow(t, "builds buildkitd")
	base, d := needBase(t), needDaemon(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := dockerfile{text: "FROM base:1\nRUN echo started; sleep 600\n"}.options(t, base)
	o.Program = d.program(t)
	o.Event = func(e wire.Event) {
		if e.Kind == wire.EventLog {
			cancel()
		}
	}
	dir := t.TempDir()
	_, err := solve.Solve(ctx, filepath.Join(dir, "out"), o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestBaseWithoutHistory has a BuildKit that never saw the base image, and one that did.
func TestBaseWithoutHistory(t *testing.T) {
	harness.NeedSlow(t, "builds buildkitd")
	d := needDaemon(t)
	base := baseImage{layout: filepath.Join(t.TempDir(), "layout")}
	if err := layers.WriteLayout(base.layout, layers.Gzip, v1.ImageConfig{}, things); err != nil {
		t.Fatal(err)
	}
	file := dockerfile{text: "FROM base:1\nLABEL a=b\n"}
	o := file.options(t, base)
	o.Program = embedded(t)
	_, want := fledge(t, o)
	step := dockerfile{text: "FROM base:1\nCOPY a /\n", context: map[string]string{"a": ""}}.options(t, base)
	step.Program = d.program(t)
	fledge(t, step) // the daemon now has the base's layers
	o = file.options(t, base)
	o.Program = d.program(t)
	if _, digest := fledge(t, o); digest != want {
		t.Errorf("the digest is %s, and with a daemon %s", want, digest)
	}
}
