// Package writable boots images under QEMU whose file system takes writes: what the guest writes stays on the disk, unless
// the disk is read-only.
package writable

import (
	"archive/tar"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

func TestMain(m *testing.M) { harness.Main(m) }

// guest is the architecture of kernel and guest.
const guest = runtime.GOARCH

// kit is what the boots need, made once.
type kit struct {
	kernel, initramfs string
	layer             []byte
}

func newKit(t *testing.T) *kit {
	t.Helper()
	harness.NeedSlow(t, "boots several machines")
	k := &kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), initramfs: filepath.Join(t.TempDir(), "initramfs.cpio.gz")}
	modules := os.Getenv("FLEDGE_KERNEL_MODULES")
	if k.kernel == "" || modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	if _, err := qemu.Find(guest, os.Getenv(qemu.Variable(guest))); err != nil {
		t.Skip(err)
	}
	init := filepath.Join(t.TempDir(), "init")
	if err := toolrun.Build(".", "./tools/init", init, "GOARCH="+guest); err != nil {
		t.Fatal(err)
	}
	harness.MustPacker(t, "boot-initramfs", "--init", init, "--kernel-modules", modules, "--filesystem", "ext4", "--out", k.initramfs)
	agent, err := toolrun.BuildStatic(t.TempDir(), "./e2e/writable/agent", guest)
	if err != nil {
		t.Fatal(err)
	}
	k.layer = imagetest.Tar(t,
		imagetest.File{Header: tar.Header{Name: "bin/kestrel", Typeflag: tar.TypeReg, Mode: 0o755}, Data: string(agent)},
		imagetest.File{Header: tar.Header{Name: "var/", Typeflag: tar.TypeDir, Mode: 0o755}})
	return k
}

// boot boots a disk and gives the lines of the init and of the agent.
func (k *kit) boot(t *testing.T, disk vmm.Disk, cmdline string) []string {
	t.Helper()
	console := harness.Boot(t, vmm.Spec{
		Arch: guest, Kernel: k.kernel, Initramfs: k.initramfs, MemoryMB: 256, CPUs: 1, Cmdline: cmdline, Disks: []vmm.Disk{disk},
	})
	return append(harness.Said(console, "fledge-init: "), harness.Said(console, "agent: ")...)
}

const (
	readWrite = "/dev/vda (ext4), read-write, /bin/kestrel stage2"
	overlay   = "/dev/vda (ext4), overlay 1G, /bin/kestrel stage2"
)

func TestExt4(t *testing.T) {
	k := newKit(t)
	t.Run("writes stay", func(t *testing.T) { k.testWritesStay(t) })
	t.Run("dirty journal", func(t *testing.T) { k.testDirty(t) })
}

// testWritesStay boots one disk with and without write access: what goes to an overlay is gone at the next boot.
func (k *kit) testWritesStay(t *testing.T) {
	image := harness.Image(t, "ext4", k.layer)
	onDisk, readOnly := vmm.Disk{File: image, Writable: true}, vmm.Disk{File: image}
	for _, b := range []struct {
		disk vmm.Disk
		want []string
	}{
		{readOnly, []string{overlay, "boot 1 on overlay overlay rw"}},
		{onDisk, []string{readWrite, "boot 1 on /dev/vda ext4 rw"}},
		{onDisk, []string{readWrite, "boot 2 on /dev/vda ext4 rw"}},
		{readOnly, []string{overlay, "boot 3 on overlay overlay rw"}},
		{onDisk, []string{readWrite, "boot 3 on /dev/vda ext4 rw"}},
	} {
		if diff := cmp.Diff(b.want, k.boot(t, b.disk, "")); diff != "" {
			t.Fatalf("what was said (-want +got):\n%s", diff)
		}
	}
	check(t, image)
}

// testDirty boots a disk whose journal has to be replayed: on one that takes no writes that is the kernel's error.
func (k *kit) testDirty(t *testing.T) {
	image := harness.Image(t, "ext4", k.layer, "--journal")
	onDisk, readOnly := vmm.Disk{File: image, Writable: true}, vmm.Disk{File: image}
	if said := strings.Join(k.boot(t, onDisk, "dirty=1"), "\n"); !strings.HasSuffix(said, "boot 1 on /dev/vda ext4 rw") {
		t.Fatalf("what was said: %s", said)
	}
	const refused = "error: mount /dev/vda (ext4) on /fledge/lower: read-only file system; the kernel's messages above may tell more"
	if diff := cmp.Diff([]string{refused}, k.boot(t, readOnly, "")); diff != "" {
		t.Errorf("of a read-only disk (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{readWrite, "boot 2 on /dev/vda ext4 rw"}, k.boot(t, onDisk, "")); diff != "" {
		t.Errorf("after the power was lost (-want +got):\n%s", diff)
	}
	check(t, image)
}

// check holds that the guest left a good file system behind.
func check(t *testing.T, image string) {
	t.Helper()
	e2fsck, err := exec.LookPath("e2fsck")
	if err != nil {
		t.Skip("needs e2fsck: apt install e2fsprogs")
	}
	harness.MustRun(t, e2fsck, "-fn", image)
}
