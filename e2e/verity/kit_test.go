package verity

import (
	"archive/tar"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

func TestMain(m *testing.M) { harness.Main(m) }

// guest is the architecture of kernel and guest.
const guest = runtime.GOARCH

// kit is what the boots need, made once.
type kit struct {
	kernel, modules string
	init            string // file
	layer           []byte // what the images hold: the agent and some files
}

func newKit(t *testing.T) *kit {
	t.Helper()
	harness.NeedSlow(t, "boots two dozen machines")
	k := &kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), modules: os.Getenv("FLEDGE_KERNEL_MODULES")}
	if k.kernel == "" || k.modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	if _, err := qemu.Find(guest, os.Getenv(qemu.Variable(guest))); err != nil {
		t.Skip(err)
	}
	k.init = filepath.Join(t.TempDir(), "init")
	if err := toolrun.Build(".", "./tools/init", k.init, "GOARCH="+guest); err != nil {
		t.Fatal(err)
	}
	agent, err := toolrun.BuildStatic(t.TempDir(), "./e2e/boot/agent", guest)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, mode int64, data string) imagetest.File {
		return imagetest.File{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}, Data: data}
	}
	k.layer = imagetest.Tar(t, file("bin/kestrel", 0o755, string(agent)), file("etc/changed", 0o644, "old"), file("etc/deleted", 0o644, "old"),
		file("var/noise", 0o644, imagetest.Noise(1, 1<<20))) // so many bytes that their hashes take more than one block
	return k
}

// initramfs makes a boot initramfs; args are further flags.
func (k *kit) initramfs(t *testing.T, filesystem string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "initramfs.cpio.gz")
	harness.MustPacker(t, append([]string{"boot-initramfs", "--init", k.init, "--kernel-modules", k.modules,
		"--filesystem", filesystem, "--out", out}, args...)...)
	return out
}

// image makes an image with a hash tree, and the file with its parameters.
func (k *kit) image(t *testing.T, filesystem string) (image, paramsFile string, p verity.Params) {
	t.Helper()
	paramsFile = filepath.Join(t.TempDir(), "verity.json")
	image = harness.Image(t, filesystem, k.layer, "--verity-out", paramsFile)
	b, err := os.ReadFile(paramsFile)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = verity.Parse(b); err != nil {
		t.Fatal(err)
	}
	return image, paramsFile, p
}

// flipped is a copy of an image with one bit of one byte changed.
func flipped(t *testing.T, image string, offset int64) string {
	t.Helper()
	return copyOf(t, image, func(b []byte) []byte {
		b[offset] ^= 0x20
		return b
	})
}

// cutOff is a copy of the first size bytes of an image.
func cutOff(t *testing.T, image string, size int64) string {
	t.Helper()
	return copyOf(t, image, func(b []byte) []byte { return b[:size] })
}

func copyOf(t *testing.T, image string, change func(b []byte) []byte) string {
	t.Helper()
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, change(b), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// boot boots a disk and gives the lines of the console.
func (k *kit) boot(t *testing.T, initramfs, disk, cmdline string) []string {
	t.Helper()
	return harness.Boot(t, vmm.Spec{
		Arch: guest, Kernel: k.kernel, Initramfs: initramfs, MemoryMB: 256, CPUs: 1, Cmdline: cmdline, Disks: []vmm.Disk{{File: disk}},
	})
}
