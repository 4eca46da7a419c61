package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/vmm"
)

func writeFile(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestParse(t *testing.T) {
	file := writeFile(t, "spec.json", `{
		"arch": "arm64", "kernel": "Image", "initramfs": "i", "rootfs": "r", "writes": true, "memory_mb": 128, "cpus": 2, "cmdline": "quiet",
		"expect": ["a"], "http": {"port": 80, "expect": "Hi"}, "timeout_seconds": 9, "repeat": "bazel test //x"}`, 0o644)
	fromFile := spec{
		Arch: "arm64", Kernel: "Image", Initramfs: "i", Rootfs: "r", Writes: true, MemoryMB: 128, CPUs: 2, Cmdline: "quiet",
		Expect: []string{"a"}, HTTP: httpGet{Port: 80, Path: "/", Expect: "Hi"}, TimeoutSeconds: 9, Repeat: "bazel test //x",
	}
	changed := fromFile
	changed.Kernel, changed.Expect, changed.HTTP.Path, changed.verbose = "k", []string{"a", "b"}, "/x", true
	defaults := *newSpec()
	defaults.Kernel, defaults.ExpectRegex = "k", []string{"^x"}
	shown := fromFile
	shown.verbose = true
	for _, tt := range []struct {
		name string
		args []string
		env  string
		want spec
	}{
		{"flags", []string{"--kernel", "k", "--expect-regex", "^x"}, "", defaults},
		{"file", []string{"--spec", file}, "", fromFile},
		{"environment", nil, file, shown},
		{"hidden", []string{"--verbose=false"}, file, fromFile},
		{"both", []string{"--kernel=k", "--expect=b", "--http-path=/x", "--verbose", "--spec", file}, "/none", changed},
	} {
		got, err := parse(tt.args, tt.env, new(bytes.Buffer))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got, cmp.AllowUnexported(spec{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		spec string
		args []string
		want string
	}{
		{"", nil, "no kernel: give --kernel"},
		{"", []string{"--kernel", "k", "more"}, `unexpected argument "more"`},
		{"", []string{"--kernal", "k"}, "flag provided but not defined: -kernal"},
		{"", []string{"--kernel", "k", "--timeout", "0"}, "a time limit of 0 s"},
		{"", []string{"--kernel", "k", "--http-port", "70000"}, "HTTP port 70000"},
		{"", []string{"--kernel", "k", "--http-expect", "x"}, "no HTTP port"},
		{"", []string{"--kernel", "k", "--http-port", "80", "--http-path", "x"}, "does not begin with a slash"},
		{"", []string{"--kernel", "k", "--expect-regex", "("}, "expected pattern: error parsing regexp"},
		{`{"kernel": "k", "disk": "d"}`, nil, `unknown field "disk"`},
		{`{"kernel": 1}`, nil, "cannot unmarshal number"},
		{`{`, nil, "unexpected EOF"},
	} {
		args := tt.args
		if tt.spec != "" {
			args = append(args, "--spec", writeFile(t, "spec.json", tt.spec, 0o644))
		}
		err := run(t.Context(), args, "", new(bytes.Buffer), new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), tt.want) || cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%s %q: error %v, want a usage error about %q", tt.spec, tt.args, err, tt.want)
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, "", new(bytes.Buffer), &help); !errors.Is(err, flag.ErrHelp) ||
		!strings.Contains(help.String(), "-http-port") {
		t.Errorf("--help: %v, %s", err, &help)
	}
}

func TestConsole(t *testing.T) {
	s := spec{Expect: []string{"ready", "login:", "in two"}, ExpectRegex: []string{`^pid \d+$`}}
	wants, err := s.wants()
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	c := newConsole(&stream, wants)
	for _, piece := range []string{"pid x\r\npi", "d 12\r", "\nserver re", "ady\r\nin t", "wo\nlogin: "} {
		fmt.Fprint(c, piece)
	}
	if missing := c.missing(); len(missing) != 0 {
		t.Errorf("missing %q", missing)
	}
	if want := "pid x\npid 12\nserver ready\nin two\n"; stream.String() != want {
		t.Errorf("stream %q, want %q", stream.String(), want)
	}
	lines, cause := c.end()
	want := []string{"pid x", "pid 12", "server ready", "in two", "login: "}
	if diff := cmp.Diff(want, lines); diff != "" || cause != "" {
		t.Errorf("cause %q, end (-want +got):\n%s", cause, diff)
	}
	fmt.Fprint(c, "\nfledge-init: error: no virtio disk\n"+strings.Repeat("x", maxLine+5)+"\n"+strings.Repeat("y\n", 100))
	lines, cause = c.end()
	if len(lines) != tailLines || cause != "fledge-init: error: no virtio disk" {
		t.Errorf("%d lines, cause %q", len(lines), cause)
	}
}

// fakeQEMU runs boot with a shell script for QEMU.
func fakeQEMU(t *testing.T, script string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	kernel := writeFile(t, "kernel", "", 0o644)
	program := writeFile(t, "qemu", "#!/bin/sh\n"+script+"\n", 0o755)
	args = append([]string{"--arch=amd64", "--accel=tcg", "--kernel", kernel, "--qemu", program, "--timeout=20"}, args...)
	var out, log bytes.Buffer
	err = run(t.Context(), args, "", &out, &log)
	return out.String(), log.String(), err
}

func TestSeen(t *testing.T) {
	start := time.Now()
	const script = "echo Linux; echo stage2; echo ready; exec sleep 30"
	out, log, err := fakeQEMU(t, script, "--expect=stage2", "--expect=ready", "--verbose")
	if err != nil || !strings.Contains(log, `boot: "stage2" after `) || !strings.Contains(log, "boot: PASS in ") {
		t.Errorf("%v\n%s", err, log)
	}
	if !strings.HasPrefix(out, "Linux\nstage2\n") {
		t.Errorf("console %q", out)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v although all was seen at once", d)
	}
}

func TestSeenAtTheEnd(t *testing.T) {
	out, log, err := fakeQEMU(t, "echo Linux; sleep 0.2; echo ready", "--expect=ready")
	if err != nil || out != "" {
		t.Errorf("%v\n%s%s", err, out, log)
	}
	if _, log, err := fakeQEMU(t, "echo Linux; sleep 0.2; echo bye"); err != nil {
		t.Errorf("a machine that powers off, and nothing is expected: %v\n%s", err, log)
	}
}

func TestNotSeen(t *testing.T) {
	for _, tt := range []struct {
		script string
		args   []string
		want   string
	}{
		{
			"echo Linux; sleep 0.1; echo bye", []string{"--expect=ready"},
			`the machine powered off; not on the console: "ready"`,
		},
		{
			"echo 'fledge-init: error: no disk'", nil,
			"the machine powered off; the guest said: fledge-init: error: no disk",
		},
		{
			"echo Linux; sleep 0.1; echo broken >&2; exit 1", []string{"--expect=ready"},
			"QEMU failed (exit status 1): broken; not on",
		},
		{
			"echo Linux; exec sleep 30", []string{"--expect-regex=re+ady", "--timeout=1"},
			`time limit of 1s reached; not on the console: pattern "re+ady"`,
		},
		{
			"echo Linux; exec sleep 30", []string{"--http-port=80", "--timeout=1"},
			`time limit of 1s reached; no answer over HTTP: Get "http://127.0.0.1:`,
		},
	} {
		_, log, err := fakeQEMU(t, tt.script, tt.args...)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || cli.ExitCode(err) != cli.ExitError {
			t.Errorf("%s: error %v, want %q…", tt.script, err, tt.want)
		}
		if !strings.Contains(log, "boot: the console's last ") || !strings.Contains(log, "boot: to repeat the boot: /") {
			t.Errorf("%s: the log does not help:\n%s", tt.script, log)
		}
	}
	_, log, err := fakeQEMU(t, "echo one; echo two; sleep 1", "--expect=x", "--verbose")
	if err == nil || strings.Contains(log, "last") {
		t.Errorf("the console is shown twice: %v\n%s", err, log)
	}
	if err := run(t.Context(), []string{"--kernel=/none"}, "", new(bytes.Buffer), new(bytes.Buffer)); err == nil {
		t.Error("no error for a kernel that does not exist")
	}
}

func TestRepeat(t *testing.T) {
	file := writeFile(t, "spec.json", `{"repeat": "bazel test //:x", "expect": ["x"], "cmdline": "it's"}`, 0o644)
	_, log, _ := fakeQEMU(t, "echo hello", "--spec", file)
	for _, want := range []string{"boot: to repeat the test: bazel test //:x\n", `it'\''s'`, " -M q35,accel=tcg "} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
}

func TestHTTP(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked++; {
		case asked == 1:
			http.Error(w, "starting", http.StatusServiceUnavailable)
		case asked == 2:
			fmt.Fprint(w, "not yet")
		default:
			fmt.Fprint(w, "Hello from "+r.URL.Path)
		}
	}))
	defer server.Close()
	p := &poller{url: server.URL + "/x", expect: "Hello from /x"}
	answered := make(chan string, 1)
	p.run(t.Context(), answered)
	if status := <-answered; status != "200 OK" || asked != 3 {
		t.Errorf("status %s after %d requests", status, asked)
	}
	want := `no answer over HTTP: status 200 OK, but "Hello from /x" is not in the body: "not yet"`
	if p.failure() != want {
		t.Errorf("failure %s, want %s", p.failure(), want)
	}
	p = &poller{url: server.URL, expect: "never"}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	p.run(ctx, answered)
	if len(answered) != 0 {
		t.Error("a wrong answer counts")
	}
}

func TestManifestOnTheCommandLine(t *testing.T) {
	const content = `{"schema_version": "v1", "name": "hello", "workload": {"type": "http", "entrypoint": ["/x"]}}`
	file := writeFile(t, "m.json", content, 0o644)
	s := newSpec()
	s.Manifest, s.Cmdline, s.Rootfs, s.Writes, s.HTTP.Port = file, "quiet", "r.img", true, 80
	m, err := s.machine(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(m.Cmdline, "quiet volant.manifest=H4sI") {
		t.Errorf("command line %q", m.Cmdline)
	}
	if diff := cmp.Diff([]vmm.Disk{{File: "r.img", Snapshot: true}}, m.Disks); diff != "" || len(m.Ports) != 1 || m.Ports[0] != 80 {
		t.Errorf("disks %v, ports %v", m.Disks, m.Ports)
	}
	s.Manifest = writeFile(t, "bad.json", `{"name": 1}`, 0o644)
	var wrongType *json.UnmarshalTypeError
	if _, err := s.machine(nil); !errors.As(err, &wrongType) || !strings.HasPrefix(err.Error(), s.Manifest+": ") {
		t.Errorf("a bad manifest: %v", err)
	}
}
