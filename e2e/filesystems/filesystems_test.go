// Package filesystems has the oldest kernel that Fledge's images are for, Linux 6.1, mount EROFS and ext4 images in a
// machine, and compares what it finds with what umoci unpacks of the layers.
package filesystems

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/initramfs"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

func TestMain(m *testing.M) { harness.Main(m) }

// kit is what the machine needs, made once.
type kit struct{ kernel, qemu, initramfs string }

func newKit(t *testing.T) kit {
	t.Helper()
	harness.NeedSlow(t, "boots a machine")
	imagetest.NeedRoot(t, "umoci", "e2fsck")
	k := kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), initramfs: filepath.Join(t.TempDir(), "initramfs")}
	modules := os.Getenv("FLEDGE_KERNEL_MODULES")
	if k.kernel == "" || modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	var err error
	if k.qemu, err = qemu.Find(runtime.GOARCH, os.Getenv("FLEDGE_QEMU")); err != nil {
		t.Skip(err)
	}
	if err := initramfs.Write(k.initramfs, entries(t, modules)); err != nil {
		t.Fatal(err)
	}
	return k
}

// entries are Fledge's init, which loads the modules, and the guest, which it becomes.
func entries(t *testing.T, kernelModules string) []initramfs.Entry {
	t.Helper()
	tree, err := kmod.Open(kernelModules)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	modules, err := tree.Resolve([]string{"virtio_mmio", "virtio_pci", "virtio_blk", "erofs", "ext4"})
	if err != nil {
		t.Fatal(err)
	}
	conf := bootconf.Config{Exec: "/guest"}
	var files []initramfs.Entry
	for _, m := range modules {
		name := m.Name + ".ko"
		conf.Modules = append(conf.Modules, name)
		files = append(files, initramfs.File(bootconf.ModulesDir+"/"+name, 0o644, string(m.Data)))
	}
	var programs [2]string
	for i, pkg := range []string{"./tools/init", "./e2e/filesystems/guest"} {
		b, err := toolrun.BuildStatic(t.TempDir(), pkg, runtime.GOARCH)
		if err != nil {
			t.Fatal(err)
		}
		programs[i] = string(b)
	}
	files = append(files, initramfs.File("guest", 0o755, programs[1]))
	return slices.Concat(initramfs.Init("init", []byte(programs[0]), conf), files)
}

// disk is an image and what the guest does with it.
type disk struct{ name, action, kind, file string }

// boot runs a machine with the disks and gives the lines that it wrote, disk by disk.
func (k kit) boot(t *testing.T, disks []disk) [][]string {
	t.Helper()
	result := filepath.Join(t.TempDir(), "result")
	if err := os.WriteFile(result, make([]byte, 16<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	var console bytes.Buffer
	spec := vmm.Spec{Arch: runtime.GOARCH, Kernel: k.kernel, Initramfs: k.initramfs, MemoryMB: 512, CPUs: 2, Console: &console}
	var actions []string
	for _, d := range disks {
		spec.Disks = append(spec.Disks, vmm.Disk{File: d.file, Writable: d.action == "grow"})
		actions = append(actions, d.action+":"+d.kind)
	}
	spec.Disks = append(spec.Disks, vmm.Disk{File: result, Writable: true})
	spec.Cmdline = "quiet loglevel=4 disks=" + strings.Join(actions, ",")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	start := time.Now()
	m, err := qemu.Driver{Program: k.qemu}.Start(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	err = m.Wait()
	t.Logf("off after %.1f s\n%s", time.Since(start).Seconds(), console.String())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(result)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([][]string, len(disks))
	for line := range strings.Lines(string(bytes.TrimRight(data, "\x00"))) {
		var i int
		if _, err := fmt.Sscan(line, &i); err != nil || i >= len(disks) {
			t.Fatalf("the guest wrote %q", line)
		}
		_, line, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		lines[i] = append(lines[i], line)
	}
	return lines
}

// makeLayers writes layers of everything that a file system can hold, and gives their files, the base first.
func makeLayers(t *testing.T) (files []string) {
	t.Helper()
	contents := imagetest.Contents()
	sized := []imagetest.File{{Header: tar.Header{Name: "sizes/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(1, 0)}}}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		sized = append(sized, imagetest.Regular("sizes/"+name, contents[name]))
	}
	layers := append(imagetest.Everything(t, 64<<10), imagetest.Extremes(t), imagetest.Tar(t, sized...))
	dir := t.TempDir()
	for i, data := range layers {
		files = append(files, filepath.Join(dir, fmt.Sprintf("%d.tar", i)))
		if err := os.WriteFile(files[i], data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// makeImage has the packer make an image of layers.
func makeImage(t *testing.T, kind string, layers []string, packFlags, linkFlags []string) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	link := slices.Concat([]string{"rootfs", "--filesystem", kind, "--out", image}, packFlags, linkFlags)
	for i, layer := range layers {
		pack := filepath.Join(dir, fmt.Sprintf("%d.pack", i))
		harness.MustPacker(t, slices.Concat([]string{"pack", "--for", kind, "--layer", layer, "--out", pack}, packFlags)...)
		link = append(link, "--pack", pack)
	}
	if out := harness.MustPacker(t, link...).Output; strings.Contains(out, "warning") {
		t.Error(out)
	}
	return image
}

// TestKernel compares every kind of image, ext4 also after it grew and was written to in the machine.
func TestKernel(t *testing.T) {
	k := newKit(t)
	layers := makeLayers(t)
	rootfs, err := imagetest.Unpack(t, layers...)
	if err != nil {
		t.Fatal(err)
	}
	want := imagetest.Describe(t, rootfs)
	if len(want) < 240 {
		t.Fatalf("umoci unpacked only %d names", len(want))
	}
	used := layers[:len(layers)-1] // without sizes, which take a while in an emulated machine
	small, none, lz4 := []string{"--size-buffer-mb", "8"}, []string{"--compression", "none"}, []string{"--compression", "lz4"}
	disks := []disk{
		{"erofs none", "walk", "erofs", makeImage(t, "erofs", layers, none, nil)},
		{"erofs lz4", "walk", "erofs", makeImage(t, "erofs", layers, lz4, nil)},
		{"ext4", "walk", "ext4", makeImage(t, "ext4", layers, nil, nil)},
		{"ext4 growing", "grow", "ext4", makeImage(t, "ext4", used, nil, small)},
		{"ext4 with journal, growing", "grow", "ext4", makeImage(t, "ext4", used, nil, append(small, "--journal"))},
	}
	const more = 200 << 20
	for _, d := range disks {
		if st, err := os.Stat(d.file); err != nil {
			t.Fatal(err)
		} else if d.action == "grow" {
			if err := os.Truncate(d.file, st.Size()+more); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, got := range k.boot(t, disks) {
		d := disks[i]
		t.Run(d.name, func(t *testing.T) {
			if len(got) == 0 || got[len(got)-1] != "done <nil>" {
				t.Fatalf("the guest ended with %q", got[max(0, len(got)-1):])
			}
			got = got[:len(got)-1]
			want := slices.Clone(want)
			if d.action == "grow" {
				got = checkGrown(t, d, got, more)
				want = slices.DeleteFunc(want, func(line string) bool { return strings.HasPrefix(line, `"sizes`) })
			}
			imagetest.Compare(t, "what the machine's kernel finds", want, got)
		})
	}
}

// checkGrown looks at what the guest says of a file system that grew by at least most of more bytes, and has e2fsck look at
// what the kernel made of it; it gives the lines about files.
func checkGrown(t *testing.T, d disk, got []string, more uint64) []string {
	t.Helper()
	var before, after uint64
	if _, err := fmt.Sscanf(got[1], "free %d %d", &before, &after); err != nil || before < 8<<20 || before > 9<<20 || after < before+more*9/10 {
		t.Errorf("%q: want 8 MiB and some 200 MiB more", got[1])
	}
	if want := fmt.Sprintf("journal %t", strings.Contains(d.name, "journal")); got[0] != want {
		t.Errorf("%q, want %q", got[0], want)
	}
	for line := range strings.Lines(imagetest.Run(t, "e2fsck", "-fn", d.file)) {
		if !strings.HasPrefix(line, "e2fsck ") && !strings.HasPrefix(line, "Pass ") && !strings.Contains(line, "non-contiguous") {
			t.Errorf("e2fsck -fn says %q", line)
		}
	}
	return got[2:]
}
