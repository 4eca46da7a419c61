package bootfs

import (
	"fmt"
	"io"
	"slices"

	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/kconfig"
	"github.com/fledge-build/fledge/internal/kmod"
)

// GuestModulesDir is where the initramfs of a build machine has its kernel modules, as NNN-NAME.ko: the guest loads them
// in the order of their names.
const GuestModulesDir = "modules"

// SelectGuestModules picks the modules for a build machine from a kernel: disks, the progress console and overlay, which a
// solve needs, the network card and random numbers as far as the kernel has them, and extra. What is built into the kernel
// is left out.
func SelectGuestModules(kernel *kmod.Tree, extra []string) ([]kmod.Module, error) {
	return selectModules(kernel, guestNeeds(), extra)
}

// CheckGuestConfig is Needs.CheckConfig for a build machine.
func CheckGuestConfig(c *kconfig.Config, kernel *kmod.Tree) error {
	return checkConfig(c, kernel, guestNeeds())
}

var console = module("VIRTIO_CONSOLE", "the console of a build machine", "virtio_console")

func guestNeeds() []need {
	return slices.Concat(base(), gzipped, disk, []need{console}, overlay, nice("virtio_net", "virtio_rng"))
}

// WriteGuest writes the initramfs of a build machine to w: the guest, a static Linux program, as /init, and the modules.
// The bytes depend on these alone.
func WriteGuest(w io.Writer, guest []byte, modules []kmod.Module) error {
	if err := checkPrograms(guest, modules); err != nil {
		return err
	}
	return writeGzip(w, func(w io.Writer) error {
		a := archive{w: cpio.NewWriter(w)}
		a.addBase("dev", "proc", "sys", GuestModulesDir)
		a.add(cpio.Header{Name: "init", Mode: cpio.TypeRegular | 0o755}, guest)
		for i, m := range modules {
			name := fmt.Sprintf("%s/%03d-%s.ko", GuestModulesDir, i, m.Name)
			a.add(cpio.Header{Name: name, Mode: cpio.TypeRegular | 0o644}, m.Data)
		}
		return a.close()
	})
}
