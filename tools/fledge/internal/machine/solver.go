package machine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

// Variables that have a buildkitd solve in place of a machine; docs/dockerfile-daemon.md tells of them.
const (
	modeVariable = "FLEDGE_BUILDKIT_MODE"
	addrVariable = "FLEDGE_BUILDKIT_ADDR"
)

// Options is what a Dockerfile's solve needs a machine for.
type Options struct {
	Arch    string            // of the image: amd64 or arm64
	Cache   string            // folder in which the guest and the initramfs are kept; it is made
	Kernel  string            // file; "" is what FindKernel finds
	Modules string            // of the kernel; "" is what belongs to it
	VMM     string            // of package drivers; "" is auto
	Network bool              // the solve may use the network
	Note    func(line string) // may be nil
}

// Solver is what solves Dockerfiles: a machine, or with Program a daemon that this program talks to.
type Solver struct {
	Machine solve.Machine
	Program *solve.Program
}

// Prepare makes ready what solves Dockerfiles: a machine with the payload's guest or, with FLEDGE_BUILDKIT_MODE=daemon, the
// program that talks to the buildkitd at FLEDGE_BUILDKIT_ADDR. The machine's size is the usual one and may be changed.
func Prepare(ctx context.Context, o Options) (Solver, error) {
	switch mode := os.Getenv(modeVariable); mode {
	case "", "vm":
		m, err := o.machine(ctx)
		return Solver{Machine: m}, err
	case "daemon":
		program, err := o.daemon()
		return Solver{Machine: solve.UsualMachine(), Program: program}, err
	default:
		return Solver{}, fmt.Errorf("%s=%s: it is vm or daemon", modeVariable, mode)
	}
}

// Driver chooses what runs a machine, by its name and the environment.
func Driver(o drivers.Options) (vmm.Driver, error) {
	o.CloudHypervisor = cmp.Or(o.CloudHypervisor, os.Getenv(cloudhypervisor.Variable))
	o.QEMU = cmp.Or(o.QEMU, os.Getenv(qemu.Variable(o.Arch)))
	return drivers.Select(o)
}

func (o Options) machine(ctx context.Context) (m solve.Machine, err error) {
	m = solve.UsualMachine()
	kernel, err := FindKernel(KernelOptions{Arch: o.Arch, File: o.Kernel, Modules: o.Modules, Note: o.Note})
	if err != nil {
		return m, fmt.Errorf("a Dockerfile is solved in a virtual machine: %w", err)
	}
	m.Driver, err = Driver(drivers.Options{Driver: o.VMM, Arch: o.Arch, Network: o.Network, Note: o.Note})
	if err != nil {
		return m, fmt.Errorf("a Dockerfile is solved in a virtual machine: %w", err)
	}
	m.Kernel = kernel.File
	if _, ok := m.Driver.(cloudhypervisor.Driver); ok && kernel.VMLinux != "" {
		m.Kernel = kernel.VMLinux
	}
	p, err := payload.Open()
	if err != nil {
		return m, err
	}
	defer p.Close()
	m.Initramfs, err = o.initramfs(ctx, p, kernel)
	return m, err
}

// initramfs makes the guest's initramfs in the cache, unless it is there: its name tells what is in it.
func (o Options) initramfs(ctx context.Context, p *payload.Payload, kernel Kernel) (file string, err error) {
	modules, err := guestModules(kernel.Modules)
	if err != nil {
		return "", err
	}
	name := "guest-" + o.Arch
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
	file = filepath.Join(dir, fmt.Sprintf("guest-%s-%x.cpio.gz", o.Arch, key.Sum(nil)))
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
	return file, cli.WriteBuffered(file, func(w io.Writer) error { return bootfs.WriteGuest(w, guest, modules) })
}

// guestModules are the modules that a solve needs of a kernel's.
func guestModules(dir string) (modules []kmod.Module, err error) {
	if dir == "" {
		return nil, nil
	}
	tree, err := kmod.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	if modules, err = bootfs.SelectGuestModules(tree, nil); err != nil {
		return nil, fmt.Errorf("kernel modules %s: %w", dir, err)
	}
	return modules, nil
}

// daemon is the guest as a program of this machine.
func (o Options) daemon() (*solve.Program, error) {
	d := solve.Daemon{
		Addr: os.Getenv(addrVariable), CA: os.Getenv("FLEDGE_BUILDKIT_TLS_CA"), Cert: os.Getenv("FLEDGE_BUILDKIT_TLS_CERT"),
		Key: os.Getenv("FLEDGE_BUILDKIT_TLS_KEY"), ServerName: os.Getenv("FLEDGE_BUILDKIT_TLS_SERVER_NAME"),
	}
	switch {
	case d.Addr == "":
		return nil, fmt.Errorf("%s=daemon needs the address of a buildkitd: set %s, to unix:///run/buildkit/buildkitd.sock for example",
			modeVariable, addrVariable)
	case runtime.GOOS != "linux":
		return nil, fmt.Errorf("%s=daemon: what talks to the buildkitd is a Linux program, and this machine has %s", modeVariable, runtime.GOOS)
	}
	p, err := payload.Open()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	guest, err := p.Extract("guest-"+runtime.GOARCH, filepath.Join(o.Cache, "programs"))
	if err != nil {
		return nil, err
	}
	return d.Program(guest), nil
}
