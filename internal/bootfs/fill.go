package bootfs

import (
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/kconfig"
	"github.com/fledge-build/fledge/internal/kmod"
)

// SelectFillModules picks the modules for a machine that fills a file system of the kind xfs or btrfs from a kernel: disks,
// the progress console, that file system and ext4, random numbers as far as the kernel has them, and extra. What is built
// into the kernel is left out.
func SelectFillModules(kind string) func(kernel *kmod.Tree, extra []string) ([]kmod.Module, error) {
	return func(kernel *kmod.Tree, extra []string) ([]kmod.Module, error) {
		return selectModules(kernel, fillNeeds(kind), extra)
	}
}

// CheckFillConfig is Needs.CheckConfig for such a machine.
func CheckFillConfig(kind string) func(c *kconfig.Config, kernel *kmod.Tree) error {
	return func(c *kconfig.Config, kernel *kmod.Tree) error { return checkConfig(c, kernel, fillNeeds(kind)) }
}

func fillNeeds(kind string) []need {
	who := "a machine that fills " + kind
	parts := []need{
		console, module("EXT4_FS", who, "ext4"), option("EXT4_FS_SECURITY", who), module(strings.ToUpper(kind)+"_FS", who, kind),
	}
	return slices.Concat(base(), gzipped, disk, crc32c, parts, nice("virtio_rng"))
}
