package initboot

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// TestModulesLoad has a kernel load the modules that each kind of root disk needs, with nothing to find others by: the
// init stops at the first that does not load, and gets as far as the search for a disk when all do.
func TestModulesLoad(t *testing.T) {
	harness.NeedSlow(t, "boots a machine for each file system")
	for arch, variables := range map[string][2]string{
		"amd64": {"FLEDGE_KERNEL_BZIMAGE", "FLEDGE_KERNEL_MODULES"}, "arm64": {"FLEDGE_KERNEL_ARM64", "FLEDGE_KERNEL_ARM64_MODULES"},
	} {
		t.Run(arch, func(t *testing.T) {
			m := machine{arch: arch, kernel: os.Getenv(variables[0])}
			modules := os.Getenv(variables[1])
			if m.kernel == "" || modules == "" {
				t.Skipf("needs a kernel: set %s to it and %s to its lib/modules/RELEASE", variables[0], variables[1])
			}
			if _, err := qemu.Find(arch, os.Getenv(qemu.Variable(arch))); err != nil {
				t.Skip(err)
			}
			tree, err := kmod.Open(modules)
			if err != nil {
				t.Fatal(err)
			}
			defer tree.Close()
			init := build(t, "./tools/init", arch)
			for _, needs := range []bootfs.Needs{
				{Filesystem: "squashfs", Compression: "zstd", Verity: true}, {Filesystem: "erofs", Compression: "lz4"},
				{Filesystem: "ext4"}, {Filesystem: "xfs"}, {Filesystem: "btrfs"},
			} {
				t.Run(needs.Filesystem, func(t *testing.T) { m.testModules(t, needs, tree, init) })
			}
		})
	}
}

func (m machine) testModules(t *testing.T, needs bootfs.Needs, tree *kmod.Tree, init []byte) {
	modules, err := needs.SelectModules(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "initramfs.cpio.gz")
	if _, err := cli.WriteWithDigest(archive, "", func(w io.Writer) error {
		return bootfs.Write(w, bootfs.Options{Init: init, OverlaySize: "1G", Modules: modules})
	}); err != nil {
		t.Fatal(err)
	}
	console := m.boot(t, archive, "")
	if said := harness.Said(console, "fledge-init: "); len(said) != 1 || !strings.HasPrefix(said[0], "error: no virtio disk") {
		t.Errorf("the init says %q, want that there is no disk\nconsole:\n%s", said, strings.Join(console, "\n"))
	}
	var names []string
	for _, m := range modules {
		names = append(names, m.Name)
	}
	t.Logf("%d modules: %s", len(modules), strings.Join(names, " "))
}
