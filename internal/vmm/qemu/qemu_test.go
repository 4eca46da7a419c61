package qemu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/host"
)

func TestArguments(t *testing.T) {
	spec := vmm.Spec{
		Arch: "arm64", Kernel: "Image", Initramfs: "boot.cpio.gz",
		Disks:    []vmm.Disk{{File: "a,b.img"}, {File: "c.img", Writable: true}, {File: "d.img", Snapshot: true}},
		MemoryMB: 256, CPUs: 2, Cmdline: "quiet", Ports: []int{80, 443},
	}
	got, err := Driver{Program: "qemu"}.arguments(spec, TCG, map[int]int{80: 40080, 443: 40443})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-M", "virt,accel=tcg", "-cpu", "max", "-m", "256", "-smp", "2",
		"-kernel", "Image", "-append", "console=ttyAMA0 panic=-1 quiet", "-device", "virtio-rng-pci",
		"-initrd", "boot.cpio.gz",
		"-drive", "if=none,format=raw,readonly=on,id=disk0,file=a,,b.img", "-device", "virtio-blk-pci,drive=disk0",
		"-drive", "if=none,format=raw,cache=unsafe,discard=unmap,werror=report,id=disk1,file=c.img", "-device", "virtio-blk-pci,drive=disk1",
		"-drive", "if=none,format=raw,snapshot=on,cache=unsafe,werror=report,id=disk2,file=d.img", "-device", "virtio-blk-pci,drive=disk2",
		"-netdev", "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:40080-:80,hostfwd=tcp:127.0.0.1:40443-:443",
		"-device", "virtio-net-pci,netdev=net0,romfile=",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func TestEscape(t *testing.T) {
	for file, want := range map[string]string{
		"a,b.img": "a,,b.img", "nbd:127.0.0.1:1": "./nbd:127.0.0.1:1", "json:{}": "./json:{}", "/a:b": "/a:b", "a/b:c,": "a/b:c,,",
	} {
		if got := escape(file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}

func TestArgumentsOfMachines(t *testing.T) {
	for _, tt := range []struct {
		arch, machine, accel string
		want                 string // parts that must be there
	}{
		{"amd64", "", TCG, "-M q35,accel=tcg -cpu max|console=ttyS0 panic=-1 reboot=t|virtio-blk-pci"},
		{"amd64", "", KVM, "-M q35,accel=kvm -cpu host|console=ttyS0 panic=-1 reboot=t|virtio-blk-pci"},
		{"amd64", "microvm", TCG, "-M microvm,accel=tcg|virtio-blk-device,drive=disk0|virtio-rng-device"},
		{"amd64", "microvm", TCG, "virtio-net-device,netdev=net0|virtio-serial-device -device virtconsole,chardev=progress"},
		{"arm64", "", TCG, "-M virt,accel=tcg -cpu max|console=ttyAMA0 panic=-1|virtio-blk-pci|virtio-net-pci"},
		{"arm64", "", KVM, "-M virt,accel=kvm -cpu host|console=ttyAMA0 panic=-1|virtio-net-pci|virtio-serial-pci"},
	} {
		spec := vmm.Spec{
			Arch: tt.arch, Kernel: "k", Disks: []vmm.Disk{{File: "d"}}, MemoryMB: 1, CPUs: 1, Ports: []int{80}, Progress: io.Discard,
		}
		args, err := Driver{Type: tt.machine}.arguments(spec, tt.accel, map[int]int{80: 1})
		if err != nil {
			t.Fatal(err)
		}
		line := strings.Join(args, " ")
		for part := range strings.SplitSeq(tt.want, "|") {
			if !strings.Contains(line, part) {
				t.Errorf("%+v: %q is not in %s", tt, part, line)
			}
		}
		if khz := strings.Contains(line, "tsc_early_khz"); khz != (tt.arch == "amd64" && tt.accel == TCG && host.KHz() != "") {
			t.Errorf("%+v: tsc_early_khz given: %v", tt, khz)
		}
	}
}

func TestNetwork(t *testing.T) {
	for _, tt := range []struct {
		network bool
		ports   []int
		want    string // QEMU's network, "" for none
	}{
		{false, nil, ""},
		{true, nil, "user,id=net0"},
		{false, []int{80}, "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:40080-:80"},
		{true, []int{80}, "user,id=net0,hostfwd=tcp:127.0.0.1:40080-:80"},
	} {
		spec := vmm.Spec{Arch: "amd64", Kernel: "k", MemoryMB: 1, CPUs: 1, Network: tt.network, Ports: tt.ports}
		args, err := Driver{}.arguments(spec, TCG, map[int]int{80: 40080})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if i := slices.Index(args, "-netdev"); i >= 0 {
			got = args[i+1]
		}
		if got != tt.want {
			t.Errorf("network %v, ports %v: got %q, want %q", tt.network, tt.ports, got, tt.want)
		}
	}
}

func TestLongCommandLine(t *testing.T) {
	spec := vmm.Spec{Arch: "arm64", Cmdline: strings.Repeat("x", vmm.MaxCmdline)}
	_, err := Driver{}.arguments(spec, TCG, nil)
	if err == nil || !strings.Contains(err.Error(), "the kernel cuts it at 2047") {
		t.Errorf("error %v", err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"qemu-system-x86_64", "mine"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mine := filepath.Join(dir, "mine")
	t.Setenv("PATH", dir)
	for _, tt := range []struct{ arch, program, want, err string }{
		{"amd64", "", filepath.Join(dir, "qemu-system-x86_64"), ""},
		{"arm64", "", "", "no qemu-system-aarch64 on PATH: install QEMU or set FLEDGE_QEMU_ARM64 "},
		{"arm64", mine, mine, ""},
		{"amd64", "/none", "", "/none"},
		{"riscv64", "", "", `arch "riscv64"`},
	} {
		got, err := Find(tt.arch, tt.program)
		switch {
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%+v: error %v", tt, err)
		case tt.err == "" && (got != tt.want || err != nil):
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
}

// fake makes a driver whose QEMU is a shell script; the arguments are in "$*".
func fake(t *testing.T, script string) (Driver, vmm.Spec, *syncBuffer) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	dir := t.TempDir()
	program, kernel := filepath.Join(dir, "qemu"), filepath.Join(dir, "kernel")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kernel, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	console := new(syncBuffer)
	spec := vmm.Spec{Arch: runtime.GOARCH, Kernel: kernel, MemoryMB: 1, CPUs: 1, Console: console}
	if spec.Arch != "amd64" && spec.Arch != "arm64" {
		spec.Arch = "amd64"
	}
	return Driver{Program: program, Accel: TCG}, spec, console
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestRunToTheEnd(t *testing.T) {
	d, spec, console := fake(t, "echo hello; echo warning >&2; sleep 0.1; echo bye")
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if got := console.String(); got != "hello\nbye\n" {
		t.Errorf("console %q", got)
	}
	m.Stop()
	if m.Command()[0] != d.Program {
		t.Errorf("command %q", m.Command())
	}
}

// slow is a receiver that takes its time.
type slow struct {
	syncBuffer
	wait time.Duration
}

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(s.wait)
	return s.syncBuffer.Write(p)
}

func TestProgress(t *testing.T) {
	d, spec, console := fake(t, "echo one; echo two >&3; sleep 0.1; printf 'three' >&3; echo four")
	progress := &slow{wait: 10 * time.Millisecond}
	spec.Progress = progress
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil {
		t.Error(err)
	}
	if console.String() != "one\nfour\n" || progress.String() != "two\nthree" {
		t.Errorf("console %q, progress %q", console.String(), progress.String())
	}
	d, spec, _ = fake(t, "exec echo only >&3")
	spec.Progress = progress
	if m, err := d.Start(t.Context(), spec); err != nil || m.Wait() != nil {
		t.Errorf("a machine that speaks by its progress alone: %v, %v", m, err)
	}
}

func TestInput(t *testing.T) {
	d, spec, console := fake(t, "echo ready; cat; echo end")
	spec.Input = strings.NewReader("one\ntwo\n")
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil || console.String() != "ready\none\ntwo\nend\n" {
		t.Errorf("%v, console %q", err, console.String())
	}
	// A guest that reads nothing, and input that never comes, do not keep a machine from ending.
	r, w := io.Pipe()
	defer w.Close()
	for _, input := range []io.Reader{r, io.LimitReader(zeros{}, 1<<20)} {
		d, spec, console = fake(t, "echo ready; sleep 0.1")
		spec.Input = input
		m, err := d.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Wait(); err != nil || console.String() != "ready\n" {
			t.Errorf("%v, console %q", err, console.String())
		}
	}
	// The attempt with KVM takes no input from the one that counts.
	d, spec, console = fake(t, `case "$*" in *accel=kvm*) cat; exit 1;; esac; echo ready; cat`)
	d.Accel, spec.Input = Auto, strings.NewReader("once\n")
	defer func(d time.Duration) { silence = d }(silence)
	silence = 200 * time.Millisecond
	if m, err = d.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil || console.String() != "ready\nonce\n" {
		t.Errorf("%v, console %q", err, console.String())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestHostPorts(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().(*net.TCPAddr).Port
	if _, err := hostPorts([]int{80}, map[int]int{80: taken}); err == nil || !strings.Contains(err.Error(), "for the guest's port 80: ") {
		t.Errorf("a port that is taken: %v", err)
	}
	l.Close()
	ports, err := hostPorts([]int{80, 81}, map[int]int{80: taken})
	if err != nil || ports[80] != taken || ports[81] == 0 || ports[81] == taken {
		t.Errorf("%v, %v; want %d for 80", ports, err, taken)
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"at once", "echo 'qemu: no such machine' >&2; exit 1", "QEMU failed (exit status 1): qemu: no such machine"},
		{"no word", "exit 0", "QEMU ended without a word from the guest"},
	} {
		d, spec, _ := fake(t, tt.script)
		if m, err := d.Start(t.Context(), spec); err == nil || err.Error() != tt.want || m != nil {
			t.Errorf("%s: got %v, %v; want %q", tt.name, m, err, tt.want)
		}
	}
	d, spec, _ := fake(t, "echo hello; sleep 0.1; echo 'out of memory' >&2; exit 3")
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err == nil || err.Error() != "QEMU failed (exit status 3): out of memory" {
		t.Errorf("Wait: %v", err)
	}
	d.Program = filepath.Join(t.TempDir(), "none")
	if _, err := d.Start(t.Context(), spec); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	d.Accel = "hvf"
	if _, err := d.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), `accelerator "hvf"`) {
		t.Errorf("an unknown accelerator: %v", err)
	}
}

func TestContext(t *testing.T) {
	d, spec, _ := fake(t, "echo hello; exec sleep 30")
	limit := errors.New("time is up")
	ctx, cancel := context.WithCancelCause(t.Context())
	m, err := d.Start(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	cancel(limit)
	if err := m.Wait(); !errors.Is(err, limit) {
		t.Errorf("Wait: %v", err)
	}
}

func TestFallBackToTCG(t *testing.T) {
	d, spec, console := fake(t, `case "$*" in *accel=kvm*) echo "no MSR" >&2; exit 1;; esac; echo "emulated"`)
	var notes []string
	d.Accel, d.Note = Auto, func(line string) { notes = append(notes, line) }
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil {
		t.Error(err)
	}
	if console.String() != "emulated\n" {
		t.Errorf("console %q", console.String())
	}
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "KVM is not usable (") {
		t.Errorf("notes %q", notes)
	}
}

// TestSilence starts what a KVM looks like under which the kernel hangs.
func TestSilence(t *testing.T) {
	defer func(d time.Duration) { silence = d }(silence)
	silence = 200 * time.Millisecond
	d, spec, _ := fake(t, "exec sleep 30")
	m, err := d.launch(t.Context(), spec, KVM)
	if err != nil {
		t.Fatal(err)
	}
	if !m.silent {
		t.Error("a machine without a word counts as alive")
	}
	m.Stop()
}

func TestPortTaken(t *testing.T) {
	d, spec, _ := fake(t, `f=$0.again; if [ ! -e $f ]; then touch $f
echo "qemu: -netdev user: Could not set up host forwarding rule 'tcp:127.0.0.1:1-:80'" >&2; exit 1; fi; echo hello`)
	spec.Ports = []int{80}
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	if addr := m.Addr(80); !strings.HasPrefix(addr, "127.0.0.1:") || strings.HasSuffix(addr, ":0") {
		t.Errorf("address %q", addr)
	}
}

// What a guest writes to a snapshot goes to a folder of its own, since QEMU takes /var/tmp in place of /tmp, and a sandbox
// may have that read-only.
func TestSnapshotFolder(t *testing.T) {
	for _, snapshot := range []bool{true, false} {
		d, spec, console := fake(t, `test -d "$TMPDIR" && echo "$TMPDIR"`)
		t.Setenv("TMPDIR", t.TempDir())
		spec.Disks = []vmm.Disk{{File: spec.Kernel, Snapshot: snapshot}}
		m, err := d.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		m.Wait()
		dir := strings.TrimSpace(console.String())
		if own := filepath.Dir(dir) == os.TempDir(); own != snapshot || dir == "" {
			t.Errorf("snapshot %v: QEMU's temporary folder is %q", snapshot, dir)
		}
		if left, err := os.ReadDir(os.TempDir()); len(left) > 0 || err != nil {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}
