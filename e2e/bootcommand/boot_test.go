//go:build linux

// Package bootcommand boots machines with fledge boot, and types into their consoles.
package bootcommand

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// patience is how long a machine may take for anything, emulated on a busy host.
const patience = 2 * time.Minute

// kit is what the boots need, built once.
type kit struct {
	fledge    string
	image     string // an initramfs
	manifest  string // of that image
	described []byte // what is in it
}

func newKit(t *testing.T) *kit {
	t.Helper()
	if os.Getenv("FLEDGE_KERNEL_BZIMAGE") == "" || runtime.GOARCH != "amd64" {
		t.Skip("needs an amd64 kernel: set FLEDGE_KERNEL_BZIMAGE to it")
	}
	if _, err := qemu.Find("amd64", os.Getenv(qemu.Variable("amd64"))); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	k := &kit{fledge: filepath.Join(dir, "fledge"), image: filepath.Join(dir, "echo.cpio.gz"), manifest: filepath.Join(dir, "echo.manifest.json")}
	if err := toolrun.Build(".", "./tools/fledge", k.fledge); err != nil {
		t.Fatal(err)
	}
	guest, err := toolrun.BuildStatic(dir, "./e2e/bootcommand/guest", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if err := bootfs.WriteGuest(&image, guest, nil); err != nil {
		t.Fatal(err)
	}
	m := manifest.Manifest{
		SchemaVersion: "v1", Name: "echo", Version: "1", Runtime: "echo", Enabled: true,
		Initramfs: &manifest.Artifact{URL: "echo.cpio.gz", Format: "cpio.gz", Checksum: fmt.Sprintf("sha256:%x", sha256.Sum256(image.Bytes()))},
		Resources: manifest.Resources{CPUCores: 1, MemoryMB: 256},
		Workload:  manifest.Workload{Type: "exec", Entrypoint: []string{"/init"}},
		Network:   manifest.Network{Mode: "bridged", Expose: []manifest.Port{{Port: 80, Protocol: "tcp"}, {Port: 53, Protocol: "udp"}}},
	}
	if k.described, err = m.JSON(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{k.image: image.Bytes(), k.manifest: k.described} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// output is what a command printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// session is a running fledge boot.
type session struct {
	cmd      *exec.Cmd
	out, log *output
	in       io.WriteCloser
}

// start starts fledge boot, with a pipe for standard input unless stdin is given.
func (k *kit) start(t *testing.T, stdin *os.File, args ...string) *session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	s := &session{cmd: exec.CommandContext(ctx, k.fledge, append([]string{"boot"}, args...)...), out: &output{}, log: &output{}}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.log
	var err error
	if stdin != nil {
		s.cmd.Stdin = stdin
	} else if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// expect waits for text on the console or, with a prefix of "machine: ", on standard error.
func (s *session) expect(t *testing.T, text string) {
	t.Helper()
	from := s.out
	if strings.HasPrefix(text, "machine: ") {
		from = s.log
	}
	for end := time.Now().Add(patience); !strings.Contains(from.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.cmd.Process.Kill()
			t.Fatalf("no %q in\n%s%s", text, s.log, s.out)
		}
	}
}

func (s *session) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(s.in, keys); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the command, which must exit with a code and leave no QEMU behind.
func (s *session) ends(t *testing.T, code int) {
	t.Helper()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d\n%s%s", got, code, s.log, s.out)
	}
	if left := running(t, filepath.Dir(s.cmd.Path)); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
}

// running lists the command lines of the processes that name a folder.
func running(t *testing.T, dir string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file) // some have ended
		if err == nil && bytes.Contains(b, []byte(dir)) {
			found = append(found, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

func TestConsole(t *testing.T) {
	k := newKit(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, host, _ := net.SplitHostPort(addr)
	s := k.start(t, nil, k.manifest, "-p", host+":8080", "--append", "say=hello")
	s.expect(t, "guest: ready with echo\n")
	s.expect(t, "hello\n")
	s.expect(t, "machine: port 80 is at 127.0.0.1:")
	s.expect(t, "machine: port 8080 is at "+addr)
	s.expect(t, "machine: port 53/udp of the manifest cannot be reached")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Errorf("the port that was asked for: %v", err)
	} else {
		conn.Close()
	}
	if n := len(running(t, filepath.Dir(k.fledge))); n != 2 {
		t.Errorf("%d processes, want fledge and QEMU", n)
	}
	s.press(t, "one\n")
	s.expect(t, `guest: read "one"`)
	s.press(t, "\x01x\n") // in a pipe the keys of the terminal mean nothing
	s.expect(t, `guest: read "\x01x"`)
	s.press(t, "quit\n")
	s.ends(t, 0)
	if strings.Contains(s.out.String(), "\r") {
		t.Error("carriage returns in a pipe")
	}
}

func TestInterrupt(t *testing.T) {
	k := newKit(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		s := k.start(t, nil, k.image) // the manifest is beside it
		s.expect(t, "guest: ready with echo\n")
		s.cmd.Process.Signal(signal)
		s.ends(t, 1)
		if want := "fledge: interrupted, and the machine is off\n"; !strings.HasSuffix(s.log.String(), want) {
			t.Errorf("%v: %s", signal, s.log)
		}
	}
	s := k.start(t, nil, k.image, "--timeout", "1s")
	s.ends(t, 1)
	if !strings.Contains(s.log.String(), "fledge: the time limit of 1s is reached") {
		t.Errorf("%s", s.log)
	}
}

func TestGuestFails(t *testing.T) {
	k := newKit(t)
	s := k.start(t, nil, k.manifest, "--append", "rdinit=/none", "--append", "init=/none")
	s.ends(t, 1)
	if !strings.Contains(s.log.String(), "fledge: the machine is off, and the guest said: ") || !strings.Contains(s.log.String(), "Kernel panic - ") {
		t.Errorf("%s", s.log)
	}
}

func TestRefused(t *testing.T) {
	k := newKit(t)
	if err := os.WriteFile(k.image, []byte("\x1f\x8b another one"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{k.manifest, k.image} {
		s := k.start(t, nil, image)
		s.ends(t, 1)
		if !strings.Contains(s.log.String(), "echo.cpio.gz has the digest sha256:") || s.out.String() != "" {
			t.Errorf("%s: %s%s", image, s.log, s.out)
		}
	}
}

// TestDisk boots a squashfs image with the initramfs that is beside it.
func TestDisk(t *testing.T) {
	k := newKit(t)
	modules := os.Getenv("FLEDGE_KERNEL_MODULES")
	if modules == "" {
		t.Skip("needs the kernel's modules: set FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	in := func(name string) string { return filepath.Join(filepath.Dir(k.fledge), name) }
	for pkg, program := range map[string]string{"./tools/packer": in("packer"), "./tools/init": in("init"), "./e2e/bootcommand/guest": in("kestrel")} {
		if err := toolrun.Build(".", pkg, program, "CGO_ENABLED=0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(in("spec"), fmt.Appendf(nil, `{"src": %q, "dest": "/bin/kestrel", "mode": "0755"}`, in("kestrel")), 0o644); err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, in("packer"), "pack-files", "--spec", in("spec"), "--level", "1", "--out", in("app.pack"))
	harness.MustRun(t, in("packer"), "rootfs", "--pack", in("app.pack"), "--level", "1", "--out", in("app-rootfs.img"))
	harness.MustRun(t, in("packer"), "boot-initramfs", "--init", in("init"), "--kernel-modules", modules, "--out", in("app.initramfs.cpio.gz"))
	s := k.start(t, nil, in("app-rootfs.img"), "--memory", "256", "--cpus", "1")
	s.expect(t, "guest: ready with nothing\n")
	s.press(t, "hello\nquit\n")
	s.ends(t, 0)
	if !strings.Contains(s.out.String(), `guest: read "hello"`) {
		t.Errorf("%s", s.out)
	}
}

// TestTerminal types in a terminal, where Ctrl-C is the guest's.
func TestTerminal(t *testing.T) {
	k := newKit(t)
	master, terminal := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	s := k.start(t, terminal, k.manifest)
	s.in = master
	s.expect(t, "machine: Ctrl-A x ends it")
	s.expect(t, "guest: ready with echo\n")
	s.press(t, "a\x03b\x01\x01c\x04\r")
	s.expect(t, `guest: read "a\x03b\x01c`)
	s.press(t, "\x01x")
	s.ends(t, 0)
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Errorf("the terminal is left as %+v, was %+v", after, before)
	}
}

// openTerminal makes a pseudo-terminal: what is written to the master is typed in the terminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}
