package guest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/solve/solvetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// TestDaemon has a real buildkitd, with runc, solve the broad case and the matrix, and compares with the BuildKit inside
// the guest.
func TestDaemon(t *testing.T) {
	k := newKit(t)
	if os.Getuid() != 0 {
		t.Skip("buildkitd with runc needs root")
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip(err)
	}
	d := startDaemon(t, runc)
	s := solve{input: solvetest.Disk(t, solvetest.Busybox(t), broad), secrets: secrets}
	want := k.host(t, s)
	if want.result.Failure != nil {
		t.Fatal(want.result.Failure)
	}
	for name, args := range map[string][]string{
		"unix": {"-addr", "unix://" + d.socket},
		"tcp":  {"-addr", "tcp://" + d.address, "-tls-dir", d.certs},
	} {
		o := k.host(t, s, args...)
		if o.result.Failure != nil {
			t.Errorf("%s: %s\n%s", name, o.result.Failure, o.log())
		} else if !bytes.Equal(o.image, want.image) {
			t.Errorf("%s: buildkitd made %s, the guest %s", name, o.result.Payload.Digest, want.result.Payload.Digest)
		}
	}
	for _, m := range solvetest.Matrix {
		t.Run(m.Name, func(t *testing.T) {
			s := solve{input: solvetest.Disk(t, solvetest.Busybox(t), m.Case), secrets: secrets}
			inside, outside := k.host(t, s), k.host(t, s, "-addr", "unix://"+d.socket)
			if inside.result.Failure != nil || outside.result.Failure != nil {
				t.Fatalf("the guest: %v; buildkitd: %v", inside.result.Failure, outside.result.Failure)
			}
			if !bytes.Equal(inside.image, outside.image) {
				t.Errorf("buildkitd made %s, the guest %s", outside.result.Payload.Digest, inside.result.Payload.Digest)
			}
		})
	}
	failing := solve{input: solvetest.Disk(t, solvetest.Busybox(t),
		solvetest.Case{Dockerfile: "FROM base:1\nRUN echo said; exit 7\n"})}
	o := k.host(t, failing, "-addr", "unix://"+d.socket)
	if f := o.result.Failure; f == nil || f.Kind != wire.FailRun || f.ExitCode != 7 ||
		!strings.Contains(f.String(), "said") {
		t.Errorf("got %v", f)
	}
	o = k.host(t, failing, "-addr", "unix:///nowhere")
	if f := o.result.Failure; f == nil || !strings.Contains(f.Message, "buildkitd at unix:///nowhere") {
		t.Errorf("got %v", f)
	}
}

type daemon struct{ socket, address, certs string }

// startDaemon builds buildkitd from the module that the guest has, and runs it for the test.
func startDaemon(t *testing.T, runc string) daemon {
	dir := t.TempDir()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/moby/buildkit")
	list.Dir = filepath.Join(toolrun.Repository(), "tools/guest")
	sources, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "buildkitd"), "./cmd/buildkitd")
	build.Dir = strings.TrimSpace(string(sources))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("buildkitd cannot be built: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := daemon{socket: filepath.Join(dir, "sock"), address: l.Addr().String(), certs: filepath.Join(dir, "certs")}
	l.Close()
	writeCerts(t, d.certs)
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "mount --make-rprivate / && mount -t tmpfs tmpfs " + root + ` && exec "$@"`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script, "sh",
		filepath.Join(dir, "buildkitd"), "--root", root, "--addr", "unix://"+d.socket, "--addr", "tcp://"+d.address,
		"--tlscacert", d.certs+"/ca.pem", "--tlscert", d.certs+"/cert.pem", "--tlskey", d.certs+"/key.pem",
		"--oci-worker-binary", runc, "--containerd-worker=false", "--oci-worker-net", "host")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		c, err := net.Dial("tcp", d.address)
		if err == nil {
			c.Close()
			return d
		}
		if time.Now().After(end) {
			t.Fatalf("buildkitd does not listen: %v\n%s", err, log.String())
		}
	}
}

// writeCerts writes one certificate for authority, server and client.
func writeCerts(t *testing.T, dir string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: cert}, "cert.pem": {Type: "CERTIFICATE", Bytes: cert},
		"key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
