package bootfs

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/kconfig"
	"github.com/fledge-build/fledge/internal/kmod"
)

// microvm are the options that each kind of image needs, made up as a kernel has them that boots with everything built in.
var microvm = map[string]string{
	"base": "BLK_DEV_INITRD BINFMT_ELF DEVTMPFS PROC_FS SYSFS TMPFS",
	"disk": "RD_GZIP VIRTIO_PCI BLK_DEV VIRTIO_BLK", "overlay": "OVERLAY_FS TMPFS_XATTR",
	"squashfs": "SQUASHFS SQUASHFS_XATTR", "squashfs zstd": "SQUASHFS_ZSTD", "squashfs gzip": "SQUASHFS_ZLIB",
	"squashfs xz": "SQUASHFS_XZ", "squashfs lz4": "SQUASHFS_LZ4", "squashfs none": "SQUASHFS_ZLIB",
	"erofs": "EROFS_FS EROFS_FS_XATTR EROFS_FS_SECURITY", "erofs lz4": "EROFS_FS_ZIP",
	"ext4": "EXT4_FS EXT4_FS_SECURITY", "xfs": "XFS_FS", "btrfs": "BTRFS_FS",
	"verity": "MD BLK_DEV_DM DM_VERITY CRYPTO_SHA256",
	" gzip":  "RD_GZIP", " zstd": "RD_ZSTD", " xz": "RD_XZ", " lz4": "RD_LZ4",
}

// optionsOf are those of an image, sorted.
func optionsOf(n Needs) []string {
	parts := []string{"base", n.Filesystem, n.Filesystem + " " + n.Compression}
	if n.Filesystem != "" {
		parts = append(parts, "disk")
	}
	if n.Filesystem == "squashfs" || n.Filesystem == "erofs" {
		parts = append(parts, "overlay")
	}
	if n.Verity {
		parts = append(parts, "verity")
	}
	var all []string
	for _, p := range parts {
		all = append(all, strings.Fields(microvm[p])...)
	}
	slices.Sort(all)
	return all
}

// configOf is a configuration that sets the options to a value, and others as lines say.
func configOf(t testing.TB, value string, options []string, lines ...string) *kconfig.Config {
	t.Helper()
	text := "# Linux/x86 6.6.6 Kernel Configuration\nCONFIG_MODULES=y\n"
	for _, o := range options {
		text += fmt.Sprintf("CONFIG_%s=%s\n", o, value)
	}
	c, err := kconfig.Parse("kernel/config", []byte(text+strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCheckConfig has each image boot with the options that it needs and no others, and fail without any one of them.
func TestCheckConfig(t *testing.T) {
	all := append(slices.Clone(rootNeeds), Needs{"", "gzip", false}, Needs{"", "zstd", false}, Needs{"", "xz", false},
		Needs{"", "lz4", false}, Needs{"", "none", false})
	for _, n := range all {
		options := optionsOf(n)
		if err := n.CheckConfig(configOf(t, "y", options), nil); err != nil {
			t.Errorf("%v: %v", n, err)
		}
		if diff := cmp.Diff(options, named(n.CheckConfig(configOf(t, "y", nil), nil))); diff != "" {
			t.Errorf("%v: options that a config without any lacks (-want +got):\n%s", n, diff)
		}
		for i, o := range options {
			c := configOf(t, "y", slices.Delete(slices.Clone(options), i, i+1), "# CONFIG_"+o+" is not set")
			if diff := cmp.Diff([]string{o}, named(n.CheckConfig(c, nil))); diff != "" {
				t.Errorf("%v without %s (-want +got):\n%s", n, o, diff)
			}
		}
	}
	if err := CheckGuestConfig(configOf(t, "y", strings.Fields(
		microvm["base"]+" "+microvm["disk"]+" "+microvm["overlay"]+" VIRTIO_CONSOLE")), nil); err != nil {
		t.Errorf("a build machine: %v", err)
	}
	want := []string{"VIRTIO_CONSOLE"}
	got := named(CheckGuestConfig(configOf(t, "y", optionsOf(squash)), nil))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a build machine (-want +got):\n%s", diff)
	}
}

// named are the options that an error begins its lines with, sorted.
func named(err error) (options []string) {
	if err == nil {
		return nil
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		_, rest, _ := strings.Cut(line, "CONFIG_")
		options = append(options, rest[:strings.IndexAny(rest, " =")])
	}
	slices.Sort(options)
	return options
}

func TestCheckConfigErrors(t *testing.T) {
	const prefix = "kernel config kernel/config: "
	options := optionsOf(squash)
	bare := slices.DeleteFunc(slices.Clone(options), func(o string) bool { return strings.HasPrefix(o, "SQUASHFS") })
	noBus := slices.DeleteFunc(slices.Clone(options), func(o string) bool { return o == "VIRTIO_PCI" })
	tree := kernelOf(t, []string{"overlay"}, "virtio_blk", "sha256")
	for _, tt := range []struct {
		name   string
		needs  Needs
		config *kconfig.Config
		kernel *kmod.Tree
		want   []string // lines; none is no error
	}{
		{"no squashfs", squash, configOf(t, "y", bare, "# CONFIG_SQUASHFS is not set"), nil, []string{
			"CONFIG_SQUASHFS is not set, which a root file system of type squashfs needs: set it to y, or to m and bundle the kernel's modules",
			"CONFIG_SQUASHFS_XATTR is not set, which a file with capabilities on squashfs needs: set it to y",
			"CONFIG_SQUASHFS_ZSTD is not set, which squashfs with compression zstd needs: set it to y",
		}},
		{"no bus", squash, configOf(t, "y", noBus), nil, []string{
			"neither CONFIG_VIRTIO_PCI nor CONFIG_VIRTIO_MMIO is set, one of which a virtio disk needs: " +
				"set one to y, or to m and bundle the kernel's modules",
		}},
		{"the other bus", squash, configOf(t, "y", noBus, "CONFIG_VIRTIO_MMIO=y"), nil, nil},
		{"a module and none bundled", squash, configOf(t, "y", options, "CONFIG_VIRTIO_PCI=m", "CONFIG_SQUASHFS=m"), nil, []string{
			"CONFIG_VIRTIO_PCI=m, which a virtio disk needs, but no modules are bundled: give the modules of the kernel, or set it to y",
			"CONFIG_SQUASHFS=m, which a root file system of type squashfs needs, but no modules are bundled: " +
				"give the modules of the kernel, or set it to y",
		}},
		{"a module that is a file, and one that is not", squash,
			configOf(t, "y", options, "CONFIG_VIRTIO_BLK=m", "CONFIG_OVERLAY_FS=m"), tree, []string{
				"CONFIG_OVERLAY_FS=m, which a writable overlay needs, but the modules of kernel 6.6.6 have no file of overlay: " +
					"give the modules and the config of the same kernel",
			}},
		{"either name of a module", Needs{"squashfs", "zstd", true},
			configOf(t, "y", optionsOf(Needs{"squashfs", "zstd", true}), "CONFIG_CRYPTO_SHA256=m"), tree, nil},
		{"no such module", squash, configOf(t, "y", options, "CONFIG_BINFMT_ELF=m"), tree, []string{
			"CONFIG_BINFMT_ELF=m, which Fledge's init needs, but it has to be built in: set it to y",
		}},
	} {
		got := ""
		if err := tt.needs.CheckConfig(tt.config, tt.kernel); err != nil {
			got = err.Error()
		}
		want := ""
		if len(tt.want) > 0 {
			want = prefix + strings.Join(tt.want, "\n"+prefix)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: error (-want +got):\n%s", tt.name, diff)
		}
	}
	err := Needs{"erofs", "zstd", false}.CheckConfig(configOf(t, "y", options), nil)
	if err == nil || !strings.Contains(err.Error(), `compression "zstd" of erofs`) {
		t.Errorf("erofs with zstd: %v", err)
	}
}

// TestDebianConfig has Debian's kernels boot every kind of image with their modules, and none without.
func TestDebianConfig(t *testing.T) {
	for arch, names := range map[string][2]string{
		"amd64": {"FLEDGE_KERNEL_CONFIG", "FLEDGE_KERNEL_MODULES"},
		"arm64": {"FLEDGE_KERNEL_ARM64_CONFIG", "FLEDGE_KERNEL_ARM64_MODULES"},
	} {
		t.Run(arch, func(t *testing.T) {
			file, dir := os.Getenv(names[0]), os.Getenv(names[1])
			if file == "" || dir == "" {
				t.Skipf("needs %s and %s, the configuration and the modules of a kernel of Debian's", names[0], names[1])
			}
			config, err := kconfig.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			kernel := openKernel(t, dir)
			for _, n := range rootNeeds {
				if err := n.CheckConfig(config, kernel); err != nil {
					t.Errorf("%v: %v", n, err)
				}
				want := []string{"VIRTIO_BLK", "VIRTIO_MMIO", strings.ToUpper(n.Filesystem)}
				if n.Filesystem != "squashfs" {
					want[2] += "_FS"
				}
				if n.Filesystem == "ext4" { // built in
					want = want[:2]
				}
				if n.Filesystem == "squashfs" || n.Filesystem == "erofs" {
					want = append(want, "OVERLAY_FS")
				}
				if n.Verity {
					want = append(want, "BLK_DEV_DM", "DM_VERITY")
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, named(n.CheckConfig(config, nil))); diff != "" {
					t.Errorf("%v without modules (-want +got):\n%s", n, diff)
				}
			}
			for _, compression := range []string{"gzip", "zstd", "xz", "lz4", "none"} {
				if err := (Needs{Compression: compression}).CheckConfig(config, nil); err != nil {
					t.Errorf("an initramfs with %s: %v", compression, err)
				}
			}
			if err := CheckGuestConfig(config, kernel); err != nil {
				t.Errorf("a build machine: %v", err)
			}
		})
	}
}
