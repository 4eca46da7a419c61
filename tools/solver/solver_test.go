package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// solverFiles writes what every command line needs; the machine never starts.
func solverFiles(t *testing.T) (dir string, args []string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	dockerfile := write("Dockerfile", "FROM scratch\n")
	write("key", "the secret value")
	return dir, []string{
		"--spec", write("spec", fmt.Sprintf(`{"src": %q, "dest": "/dockerfile/Dockerfile"}`, dockerfile)),
		"--kernel", write("bzImage", "x"), "--initramfs", write("initramfs", "x"), "--out", filepath.Join(dir, "out"),
	}
}

func TestFlags(t *testing.T) {
	dir, args := solverFiles(t)
	f, err := parse(append(args, "--build-arg", "A=b=c", "--build-arg", "SOURCE_DATE_EPOCH=12", "--secret", "key="+filepath.Join(dir, "key"),
		"--target", "x", "--progress", "quiet", "--cache", "/c", "--cache-key", "//x", "--cache-mb", "7",
		"--qemu", "/bin/true", "--vmm", "qemu"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	o, err := f.options(&said)
	if err != nil {
		t.Fatal(err)
	}
	o.Event(wire.Event{Kind: wire.EventStart, Step: 1, Text: "RUN make"})
	o.Event(wire.Event{Kind: wire.EventWarn, Text: "old syntax"})
	if said.String() != "warning: old syntax\n" {
		t.Errorf("--progress quiet says %q", said.String())
	}
	if o.Job.BuildArgs["A"] != "b=c" || len(o.Job.BuildArgs) != 1 || o.Job.Epoch != 12 || o.Job.Target != "x" {
		t.Errorf("job %+v", o.Job)
	}
	if want := (solve.Cache{Dir: "/c", Key: "//x", Limit: 7 << 20}); o.Cache == nil || *o.Cache != want {
		t.Errorf("cache %+v", o.Cache)
	}
	if string(o.Secrets.Secrets["key"]) != "the secret value" || o.Job.Secrets[0] != "key" {
		t.Errorf("options %+v", o)
	}
}

func TestDaemonFlags(t *testing.T) {
	dir, args := solverFiles(t)
	t.Setenv(modeVariable, "daemon")
	t.Setenv(addrVariable, "tcp://there:1")
	args = append(args, "--guest", filepath.Join(dir, "guest"))
	want := []string{"-addr", "tcp://there:1"}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, want},
		{[]string{"--tls-ca", "a", "--tls-cert", "b", "--tls-key", "c", "--tls-server-name", "d"},
			append(want, "-tls-ca", "a", "-tls-cert", "b", "-tls-key", "c", "-tls-server-name", "d")},
		{[]string{"--addr", "unix:///x"}, []string{"-addr", "unix:///x"}},
		{[]string{"--mode", "vm", "--vmm", "qemu", "--qemu", "/bin/true"}, nil},
	} {
		f, err := parse(append(args, c.args...), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		o, err := f.options(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == nil {
			if o.Program != nil || o.Machine.Driver == nil {
				t.Errorf("%v: program %v, driver %v", c.args, o.Program, o.Machine.Driver)
			}
		} else if o.Program == nil || !slices.Equal(o.Program.Args, c.want) || o.Machine.Driver != nil {
			t.Errorf("%v: program %+v, want %v", c.args, o.Program, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	dir, args := solverFiles(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, cli.ExitUsage, "--spec is required"},
		{append(args, "x"), cli.ExitUsage, `unexpected argument "x"`},
		{append(args, "--build-arg", "A"), cli.ExitUsage, "give NAME=VALUE"},
		{append(args, "--build-arg", "A=1", "--build-arg", "A=2"), cli.ExitUsage, "A is given twice"},
		{append(args, "--build-arg", "SOURCE_DATE_EPOCH=now"), cli.ExitUsage, "seconds since 1970"},
		{append(args, "--secret", "key=none"), cli.ExitError, "secret key: open none"},
		{append(args, "--secret", "a b=none"), cli.ExitUsage, `id "a b": use letters`},
		{append(args, "--ssh", "=none"), cli.ExitUsage, `id "": use letters`},
		{append(args, "--secret", ".npmrc=none"), cli.ExitError, "secret .npmrc: open none"},
		{append(args, "--progress", "loud"), cli.ExitUsage, "auto, live, plain or quiet"},
		{append(args, "--vmm", "vbox"), cli.ExitError, `driver "vbox"`},
		{append(args, "--vmm", "cloud-hypervisor", "--network", "--cloud-hypervisor", "/bin/true"), cli.ExitError,
			"--@fledge//fledge/settings:vmm=qemu"},
		{append(args, "--qemu", filepath.Join(dir, "none"), "--vmm", "qemu"), cli.ExitError, "none"},
		{append(args, "--vmm", "qemu", "--qemu", "/bin/true", "--cache", filepath.Join(dir, "key")), cli.ExitError,
			"--sandbox_writable_path=" + filepath.Join(dir, "key")},
		{append(args, "--images", filepath.Join(dir, "key")), cli.ExitError, "key: line 1"},
		{append(args, "--mode", "both"), cli.ExitUsage, "it is vm or daemon"},
		{append(args, "--mode", "daemon", "--guest", "x"), cli.ExitUsage, "--addr is required"},
		{append(args, "--mode", "daemon", "--addr", "unix:///x"), cli.ExitUsage, "--guest is required"},
		{append(args, "--mode", "daemon", "--addr", "unix:///x", "--guest", dir+"/none"), cli.ExitError, "none"},
		{append(args, "--arch", "mips", "--vmm", "qemu", "--qemu", "/bin/true"), cli.ExitError, "mips"},
	} {
		err := run(t.Context(), c.args, io.Discard)
		if err == nil || cli.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: code %d, %v; want %d, %q", c.args, cli.ExitCode(err), err, c.code, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "the secret value") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

// TestMessage has a step that tries to take the terminal over.
func TestMessage(t *testing.T) {
	got := message(&solve.Error{Failure: wire.Failure{
		Message: "RUN x: exit code 1", Step: "RUN x", Output: []string{"\x1b]0;title\x07\tred\r"},
	}})
	if want := "solver: RUN x: exit code 1\nRUN x wrote last:\n    ]0;title\tred\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHint(t *testing.T) {
	err := withHint(&solve.Error{Failure: wire.Failure{
		Message: "FROM alpine:3.22", Missing: []string{"docker.io/library/alpine:3.22", "ghcr.io/a/b:latest", "docker.io/3proxy/3proxy:1",
			"ghcr.io/a-b:latest"},
	}})
	for _, want := range []string{
		`name = "alpine_3_22"`, `image = "docker.io/library/alpine:3.22"`, `use_repo(fledge, "alpine_3_22", "ghcr_io_a_b", "image_3proxy_3proxy_1", "ghcr_io_a_b_2")`,
		`base_images = {"alpine:3.22": "@alpine_3_22", "ghcr.io/a/b:latest": "@ghcr_io_a_b", "3proxy/3proxy:1": "@image_3proxy_3proxy_1", "ghcr.io/a-b:latest": "@ghcr_io_a_b_2"}`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "network") { // with one it is the same
		t.Errorf("%v", err)
	}
	if err := withHint(io.EOF); err != io.EOF {
		t.Errorf("error %v", err)
	}
}
