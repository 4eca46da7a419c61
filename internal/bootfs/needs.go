package bootfs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/kmod"
)

// Needs is what an image needs of the kernel that boots it.
type Needs struct {
	Filesystem  string // of the root disk: squashfs, erofs, ext4, xfs or btrfs; "" for an image that is an initramfs
	Compression string // of squashfs, of erofs or of the initramfs: zstd, gzip, xz, lz4 or none; others ignore it
	Verity      bool   // whether dm-verity checks the root disk
}

// Check tells whether it knows the file system and its compressor.
func (n Needs) Check() error {
	_, err := n.list()
	return err
}

// need is one thing that a kernel must have, or should.
type need struct {
	parts []part // one of them is enough; modules are taken of all
	who   string // what needs it, for "which WHO needs"
	nice  bool   // its modules are taken as far as the kernel has them, and its options are not looked at
}

// part is a part of the kernel: a module, which may be built in, or a mere option of what is built in.
type part struct {
	option  string   // without CONFIG_
	modules []string // the names that its module had over the years; none when it cannot be a module
}

// option is a need for something that cannot be a module.
func option(name, who string) need { return need{parts: []part{{option: name}}, who: who} }

// module is a need for something that may be a module.
func module(option, who string, modules ...string) need {
	return need{parts: []part{{option, modules}}, who: who}
}

// nice is a wish for modules.
func nice(modules ...string) (all []need) {
	for _, m := range modules {
		all = append(all, need{parts: []part{{modules: []string{m}}}, nice: true})
	}
	return all
}

var (
	disk = []need{
		{who: "a virtio disk", parts: []part{{"VIRTIO_PCI", []string{"virtio_pci"}}, {"VIRTIO_MMIO", []string{"virtio_mmio"}}}},
		option("BLK_DEV", "a virtio disk"),
		module("VIRTIO_BLK", "a virtio disk", "virtio_blk"),
	}
	// gzipped is what unpacks an initramfs that writeGzip made.
	gzipped = []need{option("RD_GZIP", "an initramfs with compression gzip")}
	overlay = []need{
		module("OVERLAY_FS", "a writable overlay", "overlay"),
		option("TMPFS_XATTR", "a writable overlay"), // for what hides deleted files and folders
	}
	// devices are those that an agent needs, who has no modules of his own: network, console, random numbers.
	devices = nice("virtio_net", "virtio_console", "virtio_rng")
	// crc32c is what libcrc32c looks for when it is loaded, and ext4 and btrfs when they are mounted: by the name of the algorithm,
	// so that the modules tell of no dependency. A kernel whose file systems need it has it.
	crc32c = nice("crc32c_generic", "crc32c_cryptoapi", "crc32c_intel")
)

// Options for the compressors. Squashfs blocks that are stored as they are go by gzip's name.
var (
	initramfsOption = map[string]string{"gzip": "RD_GZIP", "lz4": "RD_LZ4", "xz": "RD_XZ", "zstd": "RD_ZSTD", "none": ""}
	squashfsOption  = map[string]string{"gzip": "SQUASHFS_ZLIB", "lz4": "SQUASHFS_LZ4", "xz": "SQUASHFS_XZ",
		"zstd": "SQUASHFS_ZSTD", "none": "SQUASHFS_ZLIB"}
	erofsOption = map[string]string{"lz4": "EROFS_FS_ZIP", "none": ""}
)

// decompressor is the need for one of the options.
func decompressor(of string, options map[string]string, compression string) ([]need, error) {
	name, ok := options[compression]
	switch {
	case !ok:
		known := slices.Sorted(maps.Keys(options))
		return nil, fmt.Errorf("compression %q of %s: use one of %s", compression, of, strings.Join(known, ", "))
	case name == "":
		return nil, nil
	}
	return []need{option(name, of+" with compression "+compression)}, nil
}

// base is what every init of Fledge needs.
func base() []need {
	all := []need{option("BLK_DEV_INITRD", "an initramfs")}
	for _, name := range []string{"BINFMT_ELF", "DEVTMPFS", "PROC_FS", "SYSFS", "TMPFS"} {
		all = append(all, option(name, "Fledge's init"))
	}
	return all
}

// list is all that the image needs, modules in the order to load them.
func (n Needs) list() ([]need, error) {
	if n.Filesystem == "" {
		codec, err := decompressor("an initramfs", initramfsOption, n.Compression)
		return slices.Concat(base(), codec, nice("virtio_pci", "virtio_mmio"), devices, nice("virtio_blk")), err
	}
	root, err := n.root()
	if n.Verity {
		root = append(root, verity()...)
	}
	return slices.Concat(base(), gzipped, disk, root, devices), err
}

// root is what mounting the root file system takes.
func (n Needs) root() (all []need, err error) {
	who, capabilities := "a root file system of type "+n.Filesystem, "a file with capabilities on "+n.Filesystem
	switch n.Filesystem {
	case "squashfs":
		all = []need{module("SQUASHFS", who, "squashfs"), option("SQUASHFS_XATTR", capabilities)}
		codec, err := decompressor(n.Filesystem, squashfsOption, n.Compression)
		return slices.Concat(all, codec, overlay), err
	case "erofs":
		all = []need{module("EROFS_FS", who, "erofs"), option("EROFS_FS_XATTR", capabilities), option("EROFS_FS_SECURITY", capabilities)}
		codec, err := decompressor(n.Filesystem, erofsOption, n.Compression)
		return slices.Concat(crc32c, all, codec, overlay), err
	case "ext4":
		all = []need{module("EXT4_FS", who, "ext4"), option("EXT4_FS_SECURITY", capabilities)}
	case "xfs":
		all = []need{module("XFS_FS", who, "xfs")}
	case "btrfs":
		all = []need{module("BTRFS_FS", who, "btrfs")}
	default:
		return nil, fmt.Errorf("file system %q: use squashfs, erofs, ext4, xfs or btrfs", n.Filesystem)
	}
	return slices.Concat(crc32c, all, nice("overlay")), nil // an overlay for a disk that is read-only
}

// verity is what dm-verity takes. It finds its hash by name, the fastest that is there.
func verity() []need {
	return append([]need{
		option("MD", "dm-verity"),
		module("BLK_DEV_DM", "dm-verity", "dm_mod"),
		module("DM_VERITY", "dm-verity", "dm_verity"),
		module("CRYPTO_SHA256", "dm-verity", "sha256_generic", "sha256"), // the second since 6.16
	}, nice("sha256_ssse3", "sha2_ce")...)
}

// SelectModules picks the modules for an image from a kernel: those that booting it needs, the usual virtio devices as
// far as the kernel has them, and extra. What is built into the kernel is left out.
func (n Needs) SelectModules(kernel *kmod.Tree, extra []string) ([]kmod.Module, error) {
	all, err := n.list()
	if err != nil {
		return nil, err
	}
	return selectModules(kernel, all, extra)
}

func selectModules(kernel *kmod.Tree, all []need, extra []string) ([]kmod.Module, error) {
	var wanted []string
	for _, n := range all {
		var names, have []string
		for _, p := range n.parts {
			names = append(names, p.modules...)
		}
		for _, name := range names {
			if kernel.Has(name) {
				have = append(have, name)
			}
		}
		switch {
		case len(have) > 0 || n.nice:
			wanted = append(wanted, have...)
		case len(names) == 1:
			wanted = append(wanted, names[0]) // for the kernel to tell that it has none
		case len(names) > 1:
			return nil, fmt.Errorf("kernel %s has neither %s, which %s needs", kernel.Release(), strings.Join(names, " nor "), n.who)
		}
	}
	return kernel.Resolve(append(wanted, extra...))
}
