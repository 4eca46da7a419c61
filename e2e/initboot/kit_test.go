package initboot

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/initramfs"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// guest is the architecture of kernel and guest.
const guest = runtime.GOARCH

// An archive's entries are so many that they have short names.
type tree = []initramfs.Entry

var dir, file, link, device = initramfs.Dir, initramfs.File, initramfs.Link, initramfs.Device

// kit is what the boots need, made once.
type kit struct {
	kernel       string
	init, report []byte
}

func newKit(t *testing.T) *kit {
	t.Helper()
	harness.NeedSlow(t, "boots a dozen machines")
	k := &kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE")}
	if k.kernel == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it")
	}
	if _, err := qemu.Find(guest, os.Getenv(qemu.Variable(guest))); err != nil {
		t.Skip(err)
	}
	k.init = build(t, "./tools/init", guest)
	k.report = build(t, "./e2e/initboot/report", guest)
	return k
}

// build builds a static program of this repository.
func build(t *testing.T, pkg, arch string) []byte {
	t.Helper()
	program, err := toolrun.BuildStatic(t.TempDir(), pkg, arch)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// boot boots an archive of the init, its configuration and extra, and returns the lines of the console.
func (k *kit) boot(t *testing.T, conf bootconf.Config, extra tree, cmdline string) []string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "initramfs.cpio")
	if err := initramfs.Write(archive, slices.Concat(initramfs.Init("init", k.init, conf), extra)); err != nil {
		t.Fatal(err)
	}
	return machine{guest, k.kernel}.boot(t, archive, cmdline)
}

// machine boots a kernel.
type machine struct{ arch, kernel string }

// boot runs the machine, without a disk, until it powers off and returns the lines of its console.
func (m machine) boot(t *testing.T, archive, cmdline string) []string {
	t.Helper()
	return harness.Boot(t, vmm.Spec{
		Arch: m.arch, Kernel: m.kernel, Initramfs: archive, MemoryMB: 256, CPUs: 1, Cmdline: strings.TrimSpace("quiet " + cmdline),
	})
}
