package initboot

import (
	"bytes"
	"context"
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
	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// guest is the architecture of kernel and guest.
const guest = runtime.GOARCH

// bootLimit is enough for an emulated machine on a busy host; a quiet one boots in three seconds.
const bootLimit = 2 * time.Minute

// An archive's entries are so many that they have short names.
type tree = []initramfs.Entry

var dir, file, link, device = initramfs.Dir, initramfs.File, initramfs.Link, initramfs.Device

// kit is what the boots need, made once.
type kit struct {
	kernel, qemu string
	init, report []byte
}

func newKit(t *testing.T) *kit {
	t.Helper()
	harness.NeedSlow(t, "boots a dozen machines")
	k := &kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE")}
	if k.kernel == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it")
	}
	var err error
	if k.qemu, err = qemu.Find(guest, os.Getenv("FLEDGE_QEMU")); err != nil {
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
	return machine{guest, k.kernel, k.qemu}.boot(t, archive, cmdline)
}

// machine boots a kernel.
type machine struct{ arch, kernel, qemu string }

// boot runs the machine, without a disk, until it powers off and returns the lines of its console.
func (m machine) boot(t *testing.T, archive, cmdline string) []string {
	t.Helper()
	driver := qemu.Driver{Program: m.qemu}
	if m.arch == "amd64" {
		driver.Type = "microvm" // the quickest to boot
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	var console bytes.Buffer
	start := time.Now()
	running, err := driver.Start(ctx, vmm.Spec{
		Arch: m.arch, Kernel: m.kernel, Initramfs: archive, MemoryMB: 256, CPUs: 1,
		Cmdline: strings.TrimSpace("quiet " + cmdline), Console: &console,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Stop()
	err = running.Wait()
	t.Logf("off after %.1f s", time.Since(start).Seconds())
	text := strings.ReplaceAll(console.String(), "\r", "")
	if err != nil || strings.Contains(text, "Kernel panic") {
		t.Fatalf("the machine did not power off: %v\n%s", err, text)
	}
	return strings.Split(text, "\n")
}

// said is what the lines with a prefix have after it.
func said(console []string, prefix string) []string {
	var found []string
	for _, line := range console {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			found = append(found, rest)
		}
	}
	return found
}
