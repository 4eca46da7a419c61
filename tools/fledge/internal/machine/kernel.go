// Package machine finds what a virtual machine needs on a host without Bazel: a kernel, its modules, a monitor, and for
// solving Dockerfiles the guest. It reads the environment variables that docs/vmm.md lists.
package machine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/fledge-build/fledge/internal/vmm"
)

// Kernel is a kernel to boot.
type Kernel struct {
	File    string // bzImage or Image
	VMLinux string // the ELF kernel, which Cloud Hypervisor prefers; "" is none
	Modules string // its lib/modules/RELEASE, a folder or a tar; "" is none: all is built in
}

// kernelVariables are the environment's names for kernels of an architecture.
type kernelVariables struct{ file, vmlinux, modules string }

var variables = map[string]kernelVariables{
	"amd64": {"FLEDGE_KERNEL_BZIMAGE", "FLEDGE_KERNEL_VMLINUX", "FLEDGE_KERNEL_MODULES"},
	"arm64": {"FLEDGE_KERNEL_ARM64", "", "FLEDGE_KERNEL_ARM64_MODULES"},
}

// KernelOptions says where to look.
type KernelOptions struct {
	Arch    string            // of the guest: amd64 or arm64
	File    string            // of a flag: nothing else counts then
	Modules string            // of a flag; "" is what belongs to the kernel
	Note    func(line string) // told when it is the host's own kernel; may be nil

	root string // of the host's file system, for tests
}

// FindKernel finds a kernel: the file of the options, or that of the environment, or the one that the host itself runs, with its
// modules.
func FindKernel(o KernelOptions) (Kernel, error) {
	v, ok := variables[o.Arch]
	if !ok {
		return Kernel{}, fmt.Errorf("arch %q: Fledge boots amd64 and arm64", o.Arch)
	}
	if o.File != "" {
		return o.checked(Kernel{File: o.File, Modules: o.Modules}, "--kernel")
	}
	if file := os.Getenv(v.file); file != "" {
		k := Kernel{File: file, Modules: cmp.Or(o.Modules, os.Getenv(v.modules))}
		if v.vmlinux != "" {
			k.VMLinux = os.Getenv(v.vmlinux)
		}
		return o.checked(k, v.file)
	}
	return o.hostKernel(v)
}

// checked makes sure that a kernel that someone named is there and is for the guest.
func (o KernelOptions) checked(k Kernel, by string) (Kernel, error) {
	for _, file := range []string{k.File, k.VMLinux, k.Modules} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return Kernel{}, fmt.Errorf("kernel (%s): %w", by, err)
		}
	}
	if err := o.checkArch(k.File); err != nil {
		return Kernel{}, fmt.Errorf("kernel (%s): %w", by, err)
	}
	return k, nil
}

func (o KernelOptions) checkArch(file string) error {
	switch arch, err := vmm.KernelArch(file); {
	case err != nil:
		return err
	case arch != "" && arch != o.Arch:
		return fmt.Errorf("%s is for %s, and the guest is %s", file, arch, o.Arch)
	}
	return nil
}

// hostKernel is the kernel that this machine runs.
func (o KernelOptions) hostKernel(v kernelVariables) (Kernel, error) {
	looked := "this machine is no Linux machine, whose own kernel could be used"
	if release, err := os.ReadFile(filepath.Join(o.root, "/proc/sys/kernel/osrelease")); err == nil {
		modules := filepath.Join(o.root, "/lib/modules", strings.TrimSpace(string(release)))
		files := []string{
			filepath.Join(o.root, "/boot/vmlinuz-"+strings.TrimSpace(string(release))), // Debian, Fedora, openSUSE
			filepath.Join(modules, "vmlinuz"),                                          // Arch Linux, Fedora
		}
		why := make([]string, len(files))
		for i, file := range files {
			err := o.checkArch(file)
			if err == nil {
				return o.ofHost(file, modules), nil
			}
			why[i] = strings.TrimPrefix(err.Error(), "open ")
			if errors.Is(err, fs.ErrPermission) {
				why[i] += " (as root, chmod 0644 makes it readable)"
			}
		}
		looked = "this machine's own is not to be had: " + strings.Join(why, ", ")
	}
	return Kernel{}, fmt.Errorf("no kernel for %s: neither --kernel nor %s names one, and %s\n"+
		"Debian's package linux-image-cloud-%s has one: /boot/vmlinuz-RELEASE, with modules in /lib/modules/RELEASE for %s",
		o.Arch, v.file, looked, o.Arch, v.modules)
}

func (o KernelOptions) ofHost(file, modules string) Kernel {
	k := Kernel{File: file, Modules: o.Modules}
	if _, err := os.Stat(modules); err == nil {
		k.Modules = cmp.Or(k.Modules, modules)
	}
	if o.Note != nil {
		o.Note("the kernel is this machine's own, " + file)
	}
	return k
}

// GuestArch is the architecture of a guest for which none is named: that of the kernel file, if it is named and tells it, else
// this machine's.
func GuestArch(kernel string) string {
	if kernel != "" {
		if arch, err := vmm.KernelArch(kernel); err == nil && arch != "" {
			return arch
		}
	}
	return runtime.GOARCH
}
