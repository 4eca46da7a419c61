package bootfs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/kmodtest"
)

const release = "6.6.6"

// squash is what most images need.
var squash = Needs{Filesystem: "squashfs", Compression: "zstd"}

// kernelOf is a kernel with modules built in and modules as files, each "NAME" or "NAME:DEPENDS".
func kernelOf(t testing.TB, builtin []string, files ...string) *kmod.Tree {
	t.Helper()
	dir := filepath.Join(t.TempDir(), release)
	list := ""
	for _, n := range builtin {
		list += "kernel/" + n + ".ko\n"
	}
	write := func(name, data string) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("modules.builtin", list)
	for _, f := range files {
		name, depends, _ := strings.Cut(f, ":")
		write(name+".ko", string(kmodtest.Module(release, depends)))
	}
	return openKernel(t, dir)
}

func openKernel(t testing.TB, dir string) *kmod.Tree {
	t.Helper()
	kernel, err := kmod.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kernel.Close(); err != nil {
			t.Error(err)
		}
	})
	return kernel
}

func moduleNames(modules []kmod.Module) (names []string) {
	for _, m := range modules {
		names = append(names, m.Name)
	}
	return names
}

func TestSelectModules(t *testing.T) {
	disk := []string{"virtio_pci", "virtio_blk"}
	with := func(names ...string) []string { return append(slices.Clone(disk), names...) }
	for _, tt := range []struct {
		needs          Needs
		builtin, files []string
		extra, want    string // names, separated by spaces
		err            string
	}{
		{needs: squash, builtin: []string{"virtio_mmio", "virtio_blk", "squashfs", "overlay"}},
		{needs: squash, builtin: with("squashfs", "overlay", "btrfs"), extra: "btrfs"},
		{needs: squash, builtin: disk, files: []string{"overlay", "squashfs", "virtio_net", "ext4", "crc32c_generic"},
			want: "squashfs overlay virtio_net"},
		// What a module finds by the name of an algorithm comes before it, fast or not.
		{needs: Needs{Filesystem: "xfs"}, builtin: disk, files: []string{"crc32c_generic", "crc32c-intel", "libcrc32c", "xfs:libcrc32c"},
			want: "crc32c_generic crc32c_intel libcrc32c xfs"},
		{needs: Needs{Filesystem: "ext4"}, builtin: with("ext4"), files: []string{"crc32c-cryptoapi", "overlay"},
			want: "crc32c_cryptoapi overlay"},
		{needs: Needs{Filesystem: "btrfs"}, builtin: with("btrfs")},
		{needs: Needs{"erofs", "lz4", true}, builtin: with("overlay"),
			files: []string{"erofs:libcrc32c", "libcrc32c", "crc32c_generic", "dm-mod", "dm-verity:dm_mod", "sha256_generic", "sha256-ssse3"},
			want:  "crc32c_generic libcrc32c erofs dm_mod dm_verity sha256_generic sha256_ssse3"},
		{needs: Needs{"squashfs", "gzip", true}, builtin: with("squashfs", "overlay", "dm-mod", "dm-verity"), files: []string{"sha256"},
			want: "sha256"},
		{needs: Needs{"", "xz", false}, files: []string{"virtio_blk", "virtio_net", "squashfs"}, want: "virtio_net virtio_blk"},

		{needs: squash, builtin: []string{"virtio_blk", "squashfs", "overlay"}, err: "kernel 6.6.6 has neither virtio_pci nor virtio_mmio"},
		{needs: squash, builtin: []string{"virtio_pci", "squashfs", "overlay"}, err: "kernel 6.6.6 has no module virtio_blk"},
		{needs: squash, builtin: with("overlay"), err: "kernel 6.6.6 has no module squashfs"},
		{needs: squash, builtin: with("squashfs"), err: "kernel 6.6.6 has no module overlay"},
		{needs: squash, builtin: with("squashfs", "overlay"), extra: "zfs", err: "kernel 6.6.6 has no module zfs"},
		{needs: Needs{"squashfs", "zstd", true}, builtin: with("squashfs", "overlay", "dm-mod", "dm-verity"),
			err: "kernel 6.6.6 has neither sha256_generic nor sha256, which dm-verity needs"},
		{needs: Needs{"erofs", "none", true}, builtin: with("erofs", "overlay", "sha256_generic"), err: "kernel 6.6.6 has no module dm_mod"},
		{needs: Needs{Filesystem: "xfs"}, builtin: disk, err: "kernel 6.6.6 has no module xfs"},
		{needs: Needs{"squashfs", "lzo", false}, err: `compression "lzo" of squashfs: use one of gzip, lz4, none, xz, zstd`},
		{needs: Needs{"erofs", "zstd", false}, err: `compression "zstd" of erofs: use one of lz4, none`},
		{needs: Needs{"", "", false}, err: `compression "" of an initramfs: use one of gzip`},
		{needs: Needs{Filesystem: "zfs"}, err: `file system "zfs": use squashfs, erofs, ext4, xfs or btrfs`},
	} {
		modules, err := tt.needs.SelectModules(kernelOf(t, tt.builtin, tt.files...), strings.Fields(tt.extra))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v of %q: error %v, want one about %q", tt.needs, tt.builtin, err, tt.err)
			}
			continue
		}
		if got := strings.Join(moduleNames(modules), " "); err != nil || got != tt.want {
			t.Errorf("%v of %q, %q: got %q, %v; want %q", tt.needs, tt.builtin, tt.files, got, err, tt.want)
		}
	}
}

// rootNeeds are all kinds of root disks.
var rootNeeds = []Needs{
	{"squashfs", "zstd", false}, {"squashfs", "gzip", false}, {"squashfs", "xz", false}, {"squashfs", "lz4", false},
	{"squashfs", "none", true}, {"erofs", "none", false}, {"erofs", "lz4", true}, {"ext4", "", false}, {"xfs", "", false},
	{"btrfs", "", false},
}

// TestDebianModules picks the modules of Debian's kernels, some of which have to be there, in this order.
func TestDebianModules(t *testing.T) {
	for arch, variable := range map[string]string{
		"amd64": "FLEDGE_KERNEL_MODULES", "arm64": "FLEDGE_KERNEL_ARM64_MODULES",
	} {
		t.Run(arch, func(t *testing.T) {
			dir := os.Getenv(variable)
			if dir == "" {
				t.Skipf("needs %s, the folder lib/modules/RELEASE of a kernel of Debian's", variable)
			}
			kernel := openKernel(t, dir)
			fast := map[string]string{"amd64": "sha256_ssse3", "arm64": "sha2_ce"}[arch]
			for needs, want := range map[Needs]string{
				squash:                   "virtio_pci virtio_blk squashfs overlay virtio_net",
				{"erofs", "lz4", true}:   "virtio_pci virtio_blk libcrc32c erofs overlay dm_mod dm_bufio dm_verity " + fast,
				{"ext4", "", false}:      "virtio_pci virtio_blk overlay", // ext4 is built in
				{"xfs", "", false}:       "virtio_pci virtio_blk libcrc32c xfs overlay",
				{"btrfs", "", false}:     "virtio_pci virtio_blk libcrc32c btrfs overlay",
				{"", "gzip", false}:      "virtio_pci virtio_net virtio_blk",
				{"squashfs", "xz", true}: "virtio_pci virtio_blk squashfs overlay dm_verity",
			} {
				modules, err := needs.SelectModules(kernel, nil)
				if err != nil {
					t.Errorf("%v: %v", needs, err)
					continue
				}
				wanted := strings.Fields(want)
				got := slices.DeleteFunc(moduleNames(modules), func(m string) bool { return !slices.Contains(wanted, m) })
				if diff := cmp.Diff(wanted, got); diff != "" {
					t.Errorf("%v: modules (-want +got):\n%s", needs, diff)
				}
			}
		})
	}
}
