// Command filler makes an xfs or btrfs image of the tree in an ext4 image: mkfs makes the file system, and a virtual machine
// fills it, so that neither root nor a mount is needed.
//
//	filler --filesystem xfs --mkfs /usr/sbin/mkfs.xfs --source tree.ext4 --kernel bzImage --initramfs fill.cpio.gz --out app.img
//
// Exit codes: 0 the image is there, 1 the fill failed or an input is bad, 2 the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/ext4"
	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
)

func main() {
	cli.Main("filler", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stderr) })
}

type flags struct {
	fill           fill.Options
	vmm            drivers.Options
	vmlinux        string
	out, digestOut string
	preallocate    bool
	verbose        bool
}

func parse(args []string, stderr io.Writer) (*flags, error) {
	fs := flag.NewFlagSet("filler", flag.ContinueOnError)
	fs.SetOutput(stderr)
	f := &flags{}
	fs.StringVar(&f.fill.Kind, "filesystem", "", "`kind` of file system, xfs or btrfs")
	fs.StringVar(&f.fill.Mkfs, "mkfs", "", "its mkfs, a `program`; by default mkfs.xfs or mkfs.btrfs on PATH or in a folder of system programs")
	fs.StringVar(&f.fill.Source, "source", "", "ext4 image of the tree, a `file` of packer ext4")
	fs.IntVar(&f.fill.SizeBuffer, "size-buffer-mb", 0, "free space in `MiB`; 0 is a quarter of the content, at least 64, at most 1024")
	fs.BoolVar(&f.preallocate, "preallocate", false, "write the zeros of free space, rather than leave holes in the image's file")
	m := &f.fill.Machine
	fs.StringVar(&m.Arch, "arch", runtime.GOARCH, "`architecture` of the machine, amd64 or arm64")
	fs.StringVar(&m.Kernel, "kernel", "", "kernel `file`, a bzImage or Image")
	fs.StringVar(&f.vmlinux, "vmlinux", "", "ELF kernel `file`, which Cloud Hypervisor takes where it is given")
	fs.StringVar(&m.Initramfs, "initramfs", "", "initramfs `file`, of packer guest-initramfs --for xfs or btrfs")
	fs.IntVar(&m.MemoryMB, "memory-mb", 0, "memory of the machine in `MiB`; 0 is 512")
	fs.DurationVar(&m.Limit, "timeout", 0, "how `long` the machine may run; 0 is an hour")
	fs.StringVar(&f.vmm.Driver, "vmm", drivers.Auto, "what runs the machine: `cloud-hypervisor`, qemu or auto")
	fs.StringVar(&f.vmm.CloudHypervisor, "cloud-hypervisor", "", "Cloud Hypervisor's `program`; by default the one on PATH")
	fs.StringVar(&f.vmm.QEMU, "qemu", "", "QEMU's `program`; by default the one on PATH")
	fs.StringVar(&f.out, "out", "", "the image to write, a `file`")
	fs.StringVar(&f.digestOut, "digest-out", "", "`file` for the image's digest")
	fs.BoolVar(&f.verbose, "verbose", false, "tell how the work goes on")
	if err := fs.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil, err
		}
		return nil, cli.Usagef("%v", err)
	}
	if fs.NArg() > 0 {
		return nil, cli.Usagef("unexpected argument %q", fs.Arg(0))
	}
	if m.Kernel == "" {
		m.Kernel = f.vmlinux
	}
	for _, flag := range [][2]string{
		{"filesystem", f.fill.Kind}, {"source", f.fill.Source}, {"kernel", m.Kernel}, {"initramfs", m.Initramfs}, {"out", f.out},
	} {
		if flag[1] == "" {
			return nil, cli.Usagef("--%s is required", flag[0])
		}
	}
	return f, f.check()
}

// check finds values that cannot be, and sets what depends on others.
func (f *flags) check() error {
	if f.fill.Kind != fill.XFS && f.fill.Kind != fill.Btrfs {
		return cli.Usagef("--filesystem %q: it is %s or %s", f.fill.Kind, fill.XFS, fill.Btrfs)
	}
	if b := f.fill.SizeBuffer; b < 0 || b > ext4.MaxSizeBuffer {
		return cli.Usagef("--size-buffer-mb %d: give 0 to %d", b, ext4.MaxSizeBuffer)
	}
	if m := f.fill.Machine; m.MemoryMB < 0 || m.Limit < 0 {
		return cli.Usagef("--memory-mb and --timeout must not be negative")
	}
	f.vmm.Arch = f.fill.Machine.Arch
	f.fill.TempDir = filepath.Dir(f.out)
	return nil
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	f, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if f.fill.Mkfs, err = fill.FindMkfs(f.fill.Kind, f.fill.Mkfs); err != nil {
		return err
	}
	if f.verbose {
		f.vmm.Note = func(line string) { fmt.Fprintf(stderr, "machine: %s\n", line) }
		f.fill.Progress = func(entries, bytes int64) { fmt.Fprintf(stderr, "%d names, %d bytes\n", entries, bytes) }
	}
	if f.fill.Machine.Driver, err = drivers.Select(f.vmm); err != nil {
		return err
	}
	if _, ok := f.fill.Machine.Driver.(cloudhypervisor.Driver); ok && f.vmlinux != "" {
		f.fill.Machine.Kernel = f.vmlinux
	}
	write := cli.WriteSparseWithDigest
	if f.preallocate {
		write = cli.WriteWithDigest
	}
	var stats fill.Stats
	digest, err := write(f.out, f.digestOut, func(w io.Writer) (err error) {
		stats, err = fill.Fill(ctx, w, f.fill)
		return err
	})
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted, and %s is not made: %w", f.out, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %d bytes, %s, %d names, %d bytes of data; %d bytes are free\n",
		f.out, stats.Size, digest, stats.Entries, stats.Bytes, stats.Free)
	for _, line := range fill.Warnings(f.fill.Kind, stats) {
		fmt.Fprintf(stderr, "warning: %s\n", line)
	}
	return nil
}
