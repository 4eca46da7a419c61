package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
	"github.com/fledge-build/fledge/tools/fledge/internal/boot"
	"github.com/fledge-build/fledge/tools/fledge/internal/machine"
)

// bootFlags is the command line of fledge boot.
type bootFlags struct {
	machine   boot.Machine
	initramfs string
	vmm       string
	ports     []string
	limit     time.Duration
}

func newBootCommand() *cobra.Command {
	var f bootFlags
	cmd := &cobra.Command{
		Use:   "boot IMAGE",
		Short: "Boot an image in a virtual machine, with its console in the terminal",
		Long: `Boot an image in a virtual machine (QEMU or Cloud Hypervisor), with the guest's console in the terminal, until it powers off.

IMAGE is a manifest.json, a disk image, whose boot initramfs is beside it (NAME.initramfs.cpio.gz), or an initramfs. Files that a
manifest names must have the digests that it says. Memory, processors and ports are those of the manifest; ports are passed on from
127.0.0.1. The manifest goes onto the kernel command line, as the runtime puts it there, with roothash= for an image with dm-verity. What the guest writes ends with the
machine, also what it writes to an ext4, xfs or btrfs disk, for which it takes QEMU: the file stays as it is.

In a terminal all keys are the guest's, Ctrl-C too: Ctrl-A x ends the machine, Ctrl-A Ctrl-A types a Ctrl-A. Where standard input is
no terminal, the guest reads it on its serial console, and an interrupt ends the machine.

The kernel is that of --kernel, else that of FLEDGE_KERNEL_BZIMAGE (amd64) or FLEDGE_KERNEL_ARM64 (arm64), else this machine's own.

Exit codes: 0 the guest powered off or Ctrl-A x was typed, 1 the machine could not run, the guest said that it failed, or it was
interrupted, 2 the command line is wrong.`,
		Example: `  fledge boot nginx.manifest.json
  fledge boot nginx.manifest.json -p 8080:80 --memory 512
  fledge boot app.img --initramfs app.initramfs.cpio.gz --append 'quiet overlay_size=64M'
  fledge boot tool.cpio.gz --timeout 30s </dev/null >console.log`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef("boot takes one image, and %d are given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.machine.Arch, "arch", "", "`architecture` of the guest, amd64 or arm64 (default: that of --kernel, else this machine's)")
	flags.StringVar(&f.machine.Kernel, "kernel", "", "kernel, a bzImage or Image `file`")
	flags.StringVar(&f.initramfs, "initramfs", "", "boot initramfs `file` of a disk image, in place of the one that belongs to it")
	flags.IntVar(&f.machine.MemoryMB, "memory", 0, "memory in `MiB` (default: the manifest's, else 2048)")
	flags.IntVar(&f.machine.CPUs, "cpus", 0, "`number` of processors (default: the manifest's, else 2)")
	flags.StringArrayVar(&f.machine.Append, "append", nil, "further kernel `parameters`; may be repeated")
	flags.StringArrayVarP(&f.ports, "publish", "p", nil, "`HOST:GUEST`: pass TCP port HOST of 127.0.0.1 on to the guest's; GUEST alone takes a free one; may be repeated")
	flags.DurationVar(&f.limit, "timeout", 0, "end the machine after that `long`, with an error (default: never)")
	flags.StringVar(&f.vmm, "vmm", drivers.Auto, "what runs the machine: `monitor` qemu, cloud-hypervisor or auto")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return []string{"json", "img", "cpio", "gz", "zst", "xz", "lz4"}, cobra.ShellCompDirectiveFilterFileExt
	}
	for name, values := range map[string][]string{
		"arch": {"amd64", "arm64"}, "vmm": {drivers.Auto, drivers.CloudHypervisor, drivers.QEMU},
	} {
		// The error is for flags that do not exist.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

func (f *bootFlags) run(cmd *cobra.Command, image string) error {
	m, err := f.check()
	if err != nil {
		return err
	}
	note := func(line string) { fmt.Fprintf(cmd.ErrOrStderr(), "machine: %s\n", line) }
	artifact, err := boot.Find(image, f.initramfs)
	if err != nil {
		return err
	}
	kernel, err := machine.FindKernel(machine.KernelOptions{Arch: m.Arch, File: m.Kernel, Note: note})
	if err != nil {
		return err
	}
	m.Kernel = kernel.File
	spec, notes, err := artifact.Spec(m)
	if err != nil {
		return err
	}
	for _, line := range notes {
		note(line)
	}
	t := boot.Terminal{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Log: cmd.ErrOrStderr()}
	if f.vmm == drivers.CloudHypervisor {
		note("the guest gets no input: Fledge gives none to Cloud Hypervisor's")
		t.In = nil
		if kernel.VMLinux != "" {
			spec.Kernel = kernel.VMLinux
		}
	}
	driver, err := machine.Driver(drivers.Options{
		Driver: f.vmm, Arch: m.Arch, Network: len(spec.Ports) > 0, Input: t.In != nil, Snapshot: snapshot(spec), Note: note,
	})
	if err != nil {
		return err
	}
	return boot.Run(cmd.Context(), driver, spec, t, f.limit)
}

// snapshot tells whether what a guest writes to a disk is dropped.
func snapshot(spec vmm.Spec) bool {
	return slices.ContainsFunc(spec.Disks, func(d vmm.Disk) bool { return d.Snapshot })
}

// check reads what the flags say of the machine.
func (f *bootFlags) check() (boot.Machine, error) {
	m := f.machine
	if m.MemoryMB < 0 || m.CPUs < 0 || f.limit < 0 {
		return m, cli.Usagef("--memory, --cpus and --timeout must not be negative")
	}
	if err := checkVMM(f.vmm); err != nil {
		return m, err
	}
	if m.Arch != "" {
		if err := checkArch(m.Arch); err != nil {
			return m, err
		}
	} else {
		m.Arch = machine.GuestArch(m.Kernel)
	}
	m.HostPorts = map[int]int{}
	for _, s := range f.ports {
		host, guest, err := boot.ParsePort(s)
		if err != nil {
			return m, cli.Usagef("--publish %v", err)
		}
		if _, ok := m.HostPorts[guest]; ok {
			return m, cli.Usagef("--publish: the guest's port %d is given twice", guest)
		}
		m.HostPorts[guest] = host
	}
	return m, nil
}
