package bootfs

import "github.com/fledge-build/fledge/internal/kmod"

// SelectFillModules picks the modules for a machine that fills a file system of the kind xfs or btrfs from a kernel: disks,
// the progress console, that file system and ext4, and extra. What is built into the kernel is left out.
func SelectFillModules(kind string) func(kernel *kmod.Tree, extra []string) ([]kmod.Module, error) {
	return func(kernel *kmod.Tree, extra []string) ([]kmod.Module, error) {
		wanted := available(kernel, buses)
		if len(wanted) == 0 {
			return nil, noBus(kernel)
		}
		// The file systems ask for checksums by name, which no dependency tells.
		wanted = append(wanted, available(kernel, []string{"crc32c_generic", "crc32c_intel", "crc32_ce"})...)
		wanted = append(wanted, "virtio_blk", "virtio_console", "ext4", kind)
		wanted = append(wanted, available(kernel, []string{"virtio_rng"})...)
		return kernel.Resolve(append(wanted, extra...))
	}
}
