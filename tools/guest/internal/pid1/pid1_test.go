//go:build linux

package pid1

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

func TestParseNetwork(t *testing.T) {
	n, err := parseNetwork("console=ttyS0 fledge.ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0::10.0.2.3:1.1.1.1 quiet\n")
	if err != nil || n.address.String() != "10.0.2.15" || n.gateway.String() != "10.0.2.2" ||
		n.mask.String() != "255.255.255.0" || n.device != "eth0" || len(n.dns) != 2 {
		t.Errorf("%+v, %v", n, err)
	}
	for _, bad := range []string{
		"", "quiet", "fledge.ip=dhcp", "fledge.ip=1.2.3.4::x:255.0.0.0::::", "fledge.ip=::1:::::::", "fledge.ip=1.1.1.1::1.1.1.1:1.1.1.1::../x::",
	} {
		if n, err := parseNetwork(bad); err == nil {
			t.Errorf("%q: %+v", bad, n)
		}
	}
	if _, err := parseNetwork("quiet ip=dhcp"); !strings.Contains(err.Error(), " "+wire.NetworkParameter+" is missing") {
		t.Error(err)
	}
}

func TestMagic(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	secrets, err := wire.Secrets{}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	job, err := wire.Job{Dockerfile: "D", Arch: "amd64", Secrets: []string{"s"}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	w.WriteHeader(&tar.Header{Name: wire.JobFile, Size: int64(len(job))})
	w.Write(job)
	w.Close()
	input := file("input", archive.Bytes())
	for p, want := range map[string]string{
		file("secrets", secrets): wire.SecretsMagic, input: wire.JobFile, file("short", []byte("x")): "",
		filepath.Join(dir, "none"):        "",
		file("zeros", make([]byte, 8192)): string(make([]byte, 8)),
	} {
		if got := magic(p); got != want {
			t.Errorf("%s: %q", p, got)
		}
	}
	d := disks{}
	for _, want := range []string{"output disk", "input disk", "secrets disk", ""} {
		if got := d.missing(); got != want {
			t.Errorf("%+v: %q is missing, want %q", d, got, want)
		}
		switch want {
		case "output disk":
			d.output = "/dev/x"
		case "input disk":
			d.input = input
		case "secrets disk":
			d.secrets = "/dev/y"
		}
	}
	if _, err := readJob(filepath.Join(dir, "zeros")); err == nil {
		t.Error("zeros are a job")
	}
}

func TestTailWriter(t *testing.T) {
	var w tailWriter
	w.Write([]byte("panic: first\n"))
	for range 10000 {
		w.Write([]byte("line of a trace\n"))
	}
	w.Write([]byte("last"))
	s := w.String()
	if !strings.HasPrefix(s, "panic: first\n") || !strings.HasSuffix(s, "last") || len(s) > 3*tailSize {
		t.Errorf("%d bytes: %.40q", len(s), s)
	}
}
