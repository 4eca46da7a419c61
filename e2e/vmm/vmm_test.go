// Package vmm boots machines that use all that a driver gives a guest: disks to write to, a stream of progress, the
// network.
package vmm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/initramfs"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/e2e/vmm/agreed"
	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// bootLimit is enough for an emulated machine on a busy host.
const bootLimit = 3 * time.Minute

// newSpec describes a machine with the guest, an input disk and a writable one.
func newSpec(t *testing.T) vmm.Spec {
	t.Helper()
	harness.NeedSlow(t, "boots machines")
	kernel, modules := os.Getenv("FLEDGE_KERNEL_BZIMAGE"), os.Getenv("FLEDGE_KERNEL_MODULES")
	if kernel == "" || modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	dir := t.TempDir()
	disk := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	spec := vmm.Spec{
		Arch: runtime.GOARCH, Kernel: kernel, Initramfs: filepath.Join(dir, "initramfs.cpio"),
		MemoryMB: 256, CPUs: 2, Cmdline: "quiet",
		Disks: []vmm.Disk{
			{File: disk("in", bytes.Repeat([]byte("in"), agreed.Sector))},
			{File: disk("out", make([]byte, agreed.WritableSize)), Writable: true},
		},
	}
	if err := initramfs.Write(spec.Initramfs, guestFiles(t, modules)); err != nil {
		t.Fatal(err)
	}
	return spec
}

func guestFiles(t *testing.T, modules string) []initramfs.Entry {
	t.Helper()
	program := func(pkg string) []byte {
		b, err := toolrun.BuildStatic(t.TempDir(), pkg, runtime.GOARCH)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	kernel, err := kmod.Open(modules)
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	wanted, err := bootfs.Needs{Compression: "none"}.SelectModules(kernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	conf := bootconf.Config{Exec: "/guest"}
	var files []initramfs.Entry
	for _, m := range wanted {
		conf.Modules = append(conf.Modules, m.Name+".ko")
		files = append(files, initramfs.File(bootconf.ModulesDir+"/"+m.Name+".ko", 0o644, string(m.Data)))
	}
	return slices.Concat(initramfs.Devices(), initramfs.Init("init", program("./tools/init"), conf), files,
		[]initramfs.Entry{initramfs.File("guest", 0o755, string(program("./e2e/vmm/guest")))})
}

// qemuDriver is QEMU; machine is its type, "" for the usual one.
func qemuDriver(t *testing.T, machine string) vmm.Driver {
	t.Helper()
	program, err := qemu.Find(runtime.GOARCH, os.Getenv(qemu.Variable(runtime.GOARCH)))
	if err != nil {
		t.Skip(err)
	}
	return qemu.Driver{Program: program, Type: machine, Note: func(line string) { t.Log(line) }}
}

// slow is a receiver that dawdles now and then.
type slow struct {
	bytes.Buffer
	pauses int
}

func (s *slow) Write(p []byte) (int, error) {
	if s.pauses > 0 {
		s.pauses--
		time.Sleep(50 * time.Millisecond)
	}
	return s.Buffer.Write(p)
}

// run boots a machine, waits until it is off and returns the guest's lines.
func run(t *testing.T, d vmm.Driver, spec vmm.Spec) (said []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	var console bytes.Buffer
	spec.Console = &console
	start := time.Now()
	m, err := d.Start(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	err = m.Wait()
	t.Logf("off after %.1f s", time.Since(start).Seconds())
	for line := range strings.Lines(console.String()) {
		if rest, ok := strings.CutPrefix(line, "guest: "); ok {
			said = append(said, strings.TrimSpace(rest))
		}
	}
	if len(said) == 0 {
		t.Logf("the console:\n%s", &console)
	}
	return said, err
}

func checkWorked(t *testing.T, said []string, err error, spec vmm.Spec) {
	t.Helper()
	if want := []string{"progress: <nil>", "disks: <nil>", "network: <nil>"}; err != nil || !slices.Equal(said, want) {
		t.Errorf("the machine ended with %v, the guest said %q", err, said)
	}
	b, err := os.ReadFile(spec.Disks[1].File)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, agreed.WritableSize)
	copy(want[agreed.WritableSize-agreed.Sector:], bytes.Repeat([]byte("in"), agreed.Sector/2))
	if !bytes.Equal(b, want) {
		t.Error("the writable disk has not what the guest wrote")
	}
}

func TestDisksAndProgress(t *testing.T) {
	types := []string{""}
	if runtime.GOARCH == "amd64" {
		types = append(types, "microvm")
	}
	for _, machine := range types {
		t.Run("machine "+machine, func(t *testing.T) { testDisksAndProgress(t, qemuDriver(t, machine), newSpec(t)) })
	}
}

func testDisksAndProgress(t *testing.T, d vmm.Driver, spec vmm.Spec) {
	progress := &slow{pauses: 40}
	spec.Progress = progress
	said, err := run(t, d, spec)
	checkWorked(t, said, err, spec)
	if got, want := progress.String(), agreed.Progress(); got != want {
		t.Errorf("%d bytes of progress, want %d; they begin with %.100q", len(got), len(want), got)
	}
}

// TestCloudHypervisor runs the real one, where there is one.
func TestCloudHypervisor(t *testing.T) {
	program := os.Getenv(cloudhypervisor.Variable)
	if program == "" {
		t.Skipf("needs Cloud Hypervisor and KVM: set %s to the path of cloud-hypervisor", cloudhypervisor.Variable)
	}
	d, err := drivers.Select(drivers.Options{Driver: drivers.CloudHypervisor, Arch: runtime.GOARCH, CloudHypervisor: program})
	if err != nil {
		t.Fatal(err) // it is asked for
	}
	spec := newSpec(t)
	spec.Kernel = cmp.Or(os.Getenv("FLEDGE_KERNEL_VMLINUX"), spec.Kernel)
	t.Run("powers off", func(t *testing.T) { testDisksAndProgress(t, d, spec) })
	t.Run("reboots", func(t *testing.T) {
		spec.Progress = io.Discard
		spec.Cmdline += " " + agreed.Reboot
		said, err := run(t, d, spec)
		if err == nil || !strings.Contains(err.Error(), "the guest rebooted") || len(said) != 3 {
			t.Errorf("the machine ended with %v, the guest said %q", err, said)
		}
	})
}

func TestNetwork(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			c.Close()
			heard <- string(b)
		}
	}()
	spec := newSpec(t)
	spec.Progress = io.Discard
	spec.Cmdline += fmt.Sprintf(" %s=10.0.2.2:%d", agreed.Call, l.Addr().(*net.TCPAddr).Port)
	t.Run("with", func(t *testing.T) {
		spec.Network = true
		said, err := run(t, qemuDriver(t, ""), spec)
		checkWorked(t, said, err, spec)
		if len(heard) != 1 || <-heard != agreed.Call+"\n" {
			t.Error("the guest's call did not come")
		}
	})
	t.Run("ports alone", func(t *testing.T) {
		spec.Network, spec.Ports = false, []int{80}
		said, err := run(t, qemuDriver(t, ""), spec)
		if err != nil || len(said) != 3 || !strings.HasPrefix(said[2], "network: dial tcp4 10.0.2.2:") || len(heard) != 0 {
			t.Errorf("the machine ended with %v, the guest said %q and called %d times", err, said, len(heard))
		}
	})
}
