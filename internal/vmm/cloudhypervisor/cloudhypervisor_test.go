//go:build linux

package cloudhypervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/vmm"
)

// stage is a driver whose Cloud Hypervisor is the fake, and a machine for it.
type stage struct {
	driver            Driver
	spec              vmm.Spec
	console, progress bytes.Buffer
	temp, pid         string
}

func newStage(t *testing.T, play string) *stage {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	// Below /tmp, as the path of a socket is short.
	s := &stage{pid: in("pid")}
	if s.temp, err = os.MkdirTemp("/tmp", "fakevmm-"); err != nil {
		t.Fatal(err)
	}
	temp := s.temp // a test may change it
	t.Cleanup(func() { os.RemoveAll(temp) })
	t.Setenv("TMPDIR", s.temp)
	t.Setenv("FAKEVMM_PLAY", play)
	t.Setenv("FAKEVMM_PID", s.pid)
	if err := os.Symlink(self, in("fakevmm")); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"kernel": 0, "in": 2 * sector, "out": sector} {
		if err := os.WriteFile(in(name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.driver = Driver{Program: in("fakevmm"), noKVM: func(string) string { return "" }}
	s.spec = vmm.Spec{
		Arch: runtime.GOARCH, Kernel: in("kernel"), MemoryMB: 64, CPUs: 2, Cmdline: "quiet",
		Disks:   []vmm.Disk{{File: in("in")}, {File: in("out"), Writable: true}},
		Console: &s.console, Progress: &s.progress,
	}
	return s
}

// checkGone looks for what a machine left behind.
func (s *stage) checkGone(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(s.temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	b, err := os.ReadFile(s.pid)
	if errors.Is(err, os.ErrNotExist) {
		return // it was never started
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}

func TestPowerOff(t *testing.T) {
	s := newStage(t, "powers off")
	m, err := s.driver.Start(t.Context(), s.spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	m.Stop()
	s.checkGone(t)
	if got := s.console.String(); got != "Linux version 6\r\nPower down\r\n" {
		t.Errorf("console %q", got)
	}
	if got := s.progress.String(); got != "step 1\n"+strings.Repeat("x", 100<<10)+"\nlast step\n" {
		t.Errorf("%d bytes of progress, %.20q", len(got), got)
	}
	for i, want := range []string{strings.Repeat("\x00", 2*sector), strings.Repeat("w", sector)} {
		if b, err := os.ReadFile(s.spec.Disks[i].File); string(b) != want || err != nil {
			t.Errorf("disk %d: %.20q, %v", i, b, err)
		}
	}
}

// TestNoStreams boots a machine nobody listens to, and whose last events are lost.
func TestNoStreams(t *testing.T) {
	s := newStage(t, "powers off untold")
	s.spec.Console, s.spec.Progress, s.spec.Disks = nil, nil, nil
	m, err := s.driver.Start(t.Context(), s.spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	s.checkGone(t)
}

// TestBadEnds has machines boot and end otherwise than by powering off.
func TestBadEnds(t *testing.T) {
	for _, tt := range []struct{ play, want, console string }{
		{"reboots", "the guest rebooted instead of powering off, as it does after a kernel panic", "Linux version 6\r\n"},
		{"panics", "the guest's kernel panicked", "Linux version 6\r\nKernel panic - not syncing\r\n"},
		{"dies", "Cloud Hypervisor failed (exit status 1): fakevmm: VMM thread exited with error", "Linux version 6\r\n"},
		{"speaks nonsense", "read Cloud Hypervisor's events: invalid character ']'", "Linux version 6\r\n"},
		{"hangs", "time is up", "Linux version 6\r\n"},
	} {
		t.Run(tt.play, func(t *testing.T) {
			s := newStage(t, tt.play)
			limit := 20 * time.Second
			if tt.play == "hangs" {
				limit = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("time is up"))
			defer cancel()
			m, err := s.driver.Start(ctx, s.spec)
			if err == nil {
				err = m.Wait()
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			s.checkGone(t)
			if got := s.console.String(); !strings.HasPrefix(got, tt.console) {
				t.Errorf("console %q, want %q first", got, tt.console)
			}
		})
	}
}

// TestNoStart has Cloud Hypervisor end, refuse or keep silent before the guest runs.
func TestNoStart(t *testing.T) {
	for _, tt := range []struct{ play, want string }{
		{"fails at once", "Cloud Hypervisor failed (exit status 1): fakevmm: Failed to open hypervisor interface"},
		{"ends at once", "Cloud Hypervisor ended before the guest booted: a word of farewell"},
		{"fails in create", "Cloud Hypervisor failed (exit status 1): fakevmm: thread 'vmm' panicked"},
		{"refuses", "Cloud Hypervisor refuses vm.create (500 Internal Server Error): Error from API: " +
			"The VM could not be created: No such device"},
		{"no socket", "time is up"},
		{"no answer", "time is up"},
	} {
		t.Run(tt.play, func(t *testing.T) {
			s := newStage(t, tt.play)
			limit := 20 * time.Second
			if strings.HasPrefix(tt.play, "no ") {
				limit = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("time is up"))
			defer cancel()
			m, err := s.driver.Start(ctx, s.spec)
			if err == nil || err.Error() != tt.want || m != nil {
				t.Errorf("got %v, %v; want %q", m, err, tt.want)
			}
			s.checkGone(t)
		})
	}
}

func TestStop(t *testing.T) {
	s := newStage(t, "hangs")
	m, err := s.driver.Start(t.Context(), s.spec)
	if err != nil {
		t.Fatal(err)
	}
	if m.Command()[0] != s.driver.Program {
		t.Errorf("command %q", m.Command())
	}
	m.Stop()
	m.Stop()
	if err := m.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	s.checkGone(t)
}

// TestRefused describes machines that Cloud Hypervisor cannot run, or a host where it cannot.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *stage)
		want   string
	}{
		{"no kernel", func(s *stage) { s.spec.Kernel = "" }, "no kernel: a machine needs one"},
		{"input", func(s *stage) { s.spec.Input = strings.NewReader("x") }, "no input on its serial line"},
		{"network", func(s *stage) { s.spec.Network = true }, "use the driver qemu for machines with a network"},
		{"ports", func(s *stage) { s.spec.Ports = []int{80} }, "a tap device, which root has to make"},
		{"CPUs", func(s *stage) { s.spec.CPUs = 256 }, "256 CPUs: Cloud Hypervisor takes up to 255"},
		{"part of a sector", func(s *stage) { os.Truncate(s.spec.Disks[1].File, 600) },
			"out has 600 bytes: Cloud Hypervisor takes whole sectors"},
		{"long command line", func(s *stage) { s.spec.Cmdline = strings.Repeat("x", 2040) }, "the kernel cuts it at 2047"},
		{"no KVM", func(s *stage) { s.driver.noKVM = func(string) string { return "open /dev/kvm: no such file" } },
			"Cloud Hypervisor needs KVM: open /dev/kvm: no such file; use the driver qemu, which can emulate"},
		{"no program", func(s *stage) { s.driver.Program = "/none/cloud-hypervisor" },
			"no such file or directory; set CLOUDHYPERVISOR to the path of cloud-hypervisor or use the driver qemu"},
		{"long socket", func(s *stage) {
			long := filepath.Join(s.temp, strings.Repeat("x", 100))
			os.Mkdir(long, 0o755)
			os.Setenv("TMPDIR", long)
			s.temp = long
		}, "set TMPDIR to another folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, "powers off")
			tt.change(s)
			m, err := s.driver.Start(t.Context(), s.spec)
			if err == nil || !strings.Contains(err.Error(), tt.want) || m != nil {
				t.Errorf("got %v, %v; want %q", m, err, tt.want)
			}
			s.checkGone(t)
		})
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	const want = "no cloud-hypervisor on PATH: install it, set CLOUDHYPERVISOR to its path or use the driver qemu"
	if _, err := Find(""); err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
	program := filepath.Join(dir, "cloud-hypervisor")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"", program} {
		if got, err := Find(given); got != program || err != nil {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
}

func TestConfig(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, make([]byte, sector), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := vmm.Spec{
		Arch: "amd64", Kernel: "vmlinux", Initramfs: "i.cpio", MemoryMB: 64, CPUs: 2, Cmdline: "quiet",
		Disks: []vmm.Disk{{File: disk}, {File: disk, Writable: true}}, Progress: new(bytes.Buffer),
	}
	for _, tt := range []struct {
		change func()
		want   string
	}{
		{func() {}, `{"cpus":{"boot_vcpus":2,"max_vcpus":2},"memory":{"size":67108864},` +
			`"payload":{"kernel":"vmlinux","initramfs":"i.cpio","cmdline":"console=ttyS0 panic=-1 quiet"},` +
			`"disks":[{"path":"DISK","readonly":true,"image_type":"Raw"},{"path":"DISK","readonly":false,"image_type":"Raw"}],` +
			`"rng":{"src":"/dev/urandom"},"serial":{"mode":"File","file":"s"},"console":{"mode":"File","file":"p"},` +
			`"pvpanic":true,"landlock_enable":true}`},
		{func() { spec = vmm.Spec{Arch: "arm64", Kernel: "Image", MemoryMB: 1, CPUs: 1} },
			`{"cpus":{"boot_vcpus":1,"max_vcpus":1},"memory":{"size":1048576},` +
				`"payload":{"kernel":"Image","cmdline":"console=ttyAMA0 panic=-1"},` +
				`"rng":{"src":"/dev/urandom"},"serial":{"mode":"File","file":"s"},"console":{"mode":"Off"},` +
				`"pvpanic":true,"landlock_enable":true}`},
	} {
		tt.change()
		c, err := config(spec, "s", "p")
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, strings.ReplaceAll(string(b), disk, "DISK")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := checkBody("VmConfig", string(b)); err != nil {
			t.Errorf("the published API: %v", err)
		}
	}
}

// TestSchema makes sure that the fake would refuse what the API does not describe.
func TestSchema(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{`{"payload":{}}`, ""},
		{`{}`, "missing property 'payload'"},
		{`{"payload":{},"kernel":"k"}`, "additional properties 'kernel' not allowed"},
		{`{"payload":{},"cpus":{"boot_vcpus":1}}`, "missing property 'max_vcpus'"},
		{`{"payload":{},"cpus":{"boot_vcpus":0,"max_vcpus":1}}`, "minimum"},
		{`{"payload":{},"memory":{"size":"64M"}}`, "got string, want integer"},
		{`{"payload":{},"disks":[{"path":"d","image_type":"raw"}]}`, "value must be one of"},
		{`{"payload":{},"serial":{"mode":"file"}}`, "value must be one of"},
	} {
		err := checkBody("VmConfig", tt.body)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.body, err, tt.want)
		}
	}
}

func TestReason(t *testing.T) {
	for answer, want := range map[string]string{
		"":                           "",
		`["Error from API","x y"]`:   ": Error from API: x y",
		"VmCreate(VmCreate(Kernel))": ": VmCreate(VmCreate(Kernel))",
		"a\n b":                      ": a b",
	} {
		if got := reason([]byte(answer)); got != want {
			t.Errorf("%q: got %q", answer, got)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"source":"vm","event":"booted"} {"source":"vm","event":"rebooting"}`))
	f.Add([]byte(`{"source":`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h history
		ended := false
		h.follow(bytes.NewReader(b), func() { ended = true })
		if ended && h.failure == "" && h.err == nil {
			t.Error("ended without a reason")
		}
	})
}
