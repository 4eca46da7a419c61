package dockerfiles

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
)

// inMachine are the Dockerfiles that are solved in a machine, too.
var inMachine = []string{
	"stages", "COPY --parents", "RUN --mount=type=secret", "file capabilities", "CMD and ENTRYPOINT",
	"extended attributes", "ADD local archives",
}

// userAttributes are those with attributes user.*, which the machine's scratch space, a tmpfs, has from Linux 6.6 on.
var userAttributes = []string{"extended attributes", "ADD local archives"}

// TestMachine solves a sample in a real machine: same bytes as on this one.
func TestMachine(t *testing.T) {
	harness.NeedSlow(t, "boots machines")
	base, machine := needBase(t), newMachine(t)
	for _, d := range matrix {
		if !slices.Contains(inMachine, d.name) {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			if release := filepath.Base(os.Getenv("FLEDGE_KERNEL_MODULES")); slices.Contains(userAttributes, d.name) && older(release, 6, 6) {
				o := d.options(t, base)
				o.Machine = machine
				if _, err := solve.Solve(t.Context(), filepath.Join(t.TempDir(), "out"), o); err == nil {
					t.Error("attributes were lost without an error")
				} else {
					t.Skipf("no attributes user.* in a machine with Linux %s: %v", release, err)
				}
			}
			o := d.options(t, base)
			o.Program = embedded(t)
			_, want := fledge(t, o)
			o = d.options(t, base)
			o.Machine = machine
			start := time.Now()
			if _, digest := fledge(t, o); digest != want {
				t.Errorf("the digest is %s, and in a machine %s", want, digest)
			}
			t.Logf("%.1f s in a machine", time.Since(start).Seconds())
		})
	}
}

// older tells whether a kernel release, "6.1.0-50-cloud-amd64", is before a version.
func older(release string, major, minor int) bool {
	var a, b int
	fmt.Sscanf(release, "%d.%d", &a, &b)
	return a < major || a == major && b < minor
}

func newMachine(t *testing.T) solve.Machine {
	t.Helper()
	needRoot(t)
	kernel, modules := os.Getenv("FLEDGE_KERNEL_BZIMAGE"), os.Getenv("FLEDGE_KERNEL_MODULES")
	if kernel == "" || modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	driver, err := drivers.Select(drivers.Options{Driver: drivers.QEMU, Arch: runtime.GOARCH, QEMU: os.Getenv("FLEDGE_QEMU")})
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	packer, err := toolrun.BuildPacker(dir)
	if err != nil {
		t.Fatal(err)
	}
	initramfs := filepath.Join(dir, "initramfs")
	harness.MustRun(t, packer, "guest-initramfs", "--guest", must(t, guest), "--kernel-modules", modules, "--out", initramfs)
	return solve.Machine{
		Driver: driver, Kernel: kernel, Initramfs: initramfs, MemoryMB: 1024, CPUs: 2, ScratchMB: 1 << 10, OutputMB: 1 << 10,
		Limit: 5 * time.Minute,
	}
}
