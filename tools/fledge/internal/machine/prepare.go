package machine

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

// Options is what a build needs a machine for: to solve a Dockerfile, or to fill a file system.
type Options struct {
	Arch    string            // of the image: amd64 or arm64
	Cache   string            // folder in which the guest and the initramfs are kept; it is made
	Kernel  string            // file; "" is what FindKernel finds
	Modules string            // of the kernel; "" is what belongs to it
	VMM     string            // of package drivers; "" is auto
	Network bool              // the solve may use the network
	Note    func(line string) // may be nil
}

// Driver chooses what runs a machine, by its name and the environment.
func Driver(o drivers.Options) (vmm.Driver, error) {
	o.CloudHypervisor = cmp.Or(o.CloudHypervisor, os.Getenv(cloudhypervisor.Variable))
	o.QEMU = cmp.Or(o.QEMU, os.Getenv(qemu.Variable(o.Arch)))
	return drivers.Select(o)
}

// prepared is a machine that can be started.
type prepared struct {
	driver            vmm.Driver
	kernel, initramfs string // files
}

// chooser picks the modules of a kernel that a machine needs.
type chooser func(kernel *kmod.Tree, extra []string) ([]kmod.Module, error)

// prepare makes a machine ready whose first process is a program of the payload. why begins the errors about what is
// missing.
func (o Options) prepare(ctx context.Context, why, program string, choose chooser) (p prepared, err error) {
	kernel, err := FindKernel(KernelOptions{Arch: o.Arch, File: o.Kernel, Modules: o.Modules, Note: o.Note})
	if err != nil {
		return p, fmt.Errorf("%s: %w", why, err)
	}
	p.driver, err = Driver(drivers.Options{Driver: o.VMM, Arch: o.Arch, Network: o.Network, Note: o.Note})
	if err != nil {
		return p, fmt.Errorf("%s: %w", why, err)
	}
	p.kernel = kernel.File
	if _, ok := p.driver.(cloudhypervisor.Driver); ok && kernel.VMLinux != "" {
		p.kernel = kernel.VMLinux
	}
	brought, err := payload.Open()
	if err != nil {
		return p, err
	}
	defer brought.Close()
	modules, err := modulesOf(kernel.Modules, choose)
	if err != nil {
		return p, fmt.Errorf("%s: %w", why, err)
	}
	p.initramfs, err = o.initramfs(ctx, brought, program, modules)
	return p, err
}

// initramfs makes that of a program in the cache, unless it is there: its name tells what is in it.
func (o Options) initramfs(ctx context.Context, p *payload.Payload, name string, modules []kmod.Module) (file string, err error) {
	digest, err := p.Digest(name)
	if err != nil {
		return "", err
	}
	key := sha256.New()
	fmt.Fprintf(key, "initramfs 1\n%s\n", digest)
	for _, m := range modules {
		fmt.Fprintf(key, "%s %x\n", m.Name, sha256.Sum256(m.Data))
	}
	dir := filepath.Join(o.Cache, "initramfs")
	file = filepath.Join(dir, fmt.Sprintf("%s-%x.cpio.gz", name, key.Sum(nil)))
	if _, err := os.Stat(file); err == nil || ctx.Err() != nil {
		return file, ctx.Err()
	}
	guest, err := p.Program(name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	return file, cli.WriteKept(file, 0o644, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<18)
		return cmp.Or(bootfs.WriteGuest(w, guest, modules), w.Flush())
	})
}

// modulesOf are the modules that choose takes of a kernel's; none of a kernel that has all built in.
func modulesOf(dir string, choose chooser) (modules []kmod.Module, err error) {
	if dir == "" {
		return nil, nil
	}
	tree, err := kmod.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	if modules, err = choose(tree, nil); err != nil {
		return nil, fmt.Errorf("kernel modules %s: %w", dir, err)
	}
	return modules, nil
}
