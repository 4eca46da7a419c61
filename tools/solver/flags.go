package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/terminal"
	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
)

type flags struct {
	job          wire.Job
	spec, images string
	secrets, ssh map[string]string // id to file
	machine      solve.Machine
	vmlinux      string
	vmm          drivers.Options
	daemon       daemon
	cache        solve.Cache
	cacheMB      int
	out          string
	progress     string
	done         func() // ends the progress
}

func parse(args []string, stderr io.Writer) (*flags, error) {
	fs := flag.NewFlagSet("solver", flag.ContinueOnError)
	fs.SetOutput(stderr)
	f := &flags{secrets: map[string]string{}, ssh: map[string]string{}, machine: solve.UsualMachine()}
	f.job.BuildArgs, f.job.Labels = map[string]string{}, map[string]string{}
	fs.StringVar(&f.job.Dockerfile, "dockerfile", "Dockerfile", "the Dockerfile's `name` below /dockerfile")
	fs.StringVar(&f.job.Target, "target", "", "`stage` to build; the last one by default")
	fs.StringVar(&f.job.Arch, "arch", runtime.GOARCH, "`architecture` of image and machine, amd64 or arm64")
	fs.BoolVar(&f.job.Network, "network", false, "RUN and ADD may use the network")
	fs.Func("build-arg", "`NAME=VALUE` of an ARG; may be repeated", pairs(f.job.BuildArgs))
	fs.Func("label", "`NAME=VALUE` of a further label of the image; may be repeated", pairs(f.job.Labels))
	fs.Func("secret", "`ID=FILE` for RUN --mount=type=secret; may be repeated", idFiles(f.secrets))
	fs.Func("ssh", "`ID=FILE`, a private key for RUN --mount=type=ssh; may be repeated", idFiles(f.ssh))
	fs.StringVar(&f.spec, "spec", "", "`file` that lists context and Dockerfile")
	fs.StringVar(&f.images, "images", "", "`file` that lists the base images")
	fs.StringVar(&f.machine.Kernel, "kernel", "", "kernel `file`, a bzImage or Image")
	fs.StringVar(&f.vmlinux, "vmlinux", "", "ELF kernel `file`, which Cloud Hypervisor takes where it is given")
	fs.StringVar(&f.machine.Initramfs, "initramfs", "", "initramfs `file`, of packer guest-initramfs")
	fs.IntVar(&f.machine.MemoryMB, "memory-mb", f.machine.MemoryMB, "memory of the machine, in `MiB`")
	fs.IntVar(&f.machine.CPUs, "cpus", f.machine.CPUs, "`number` of its processors")
	fs.IntVar(&f.machine.ScratchMB, "scratch-mb", f.machine.ScratchMB, "swap space of the machine, in `MiB`; a sparse file")
	fs.IntVar(&f.machine.OutputMB, "output-mb", f.machine.OutputMB, "how large the image may be, in `MiB`")
	fs.DurationVar(&f.machine.Limit, "timeout", f.machine.Limit, "how `long` the machine may run")
	fs.StringVar(&f.vmm.Driver, "vmm", drivers.Auto, "what runs the machine: `cloud-hypervisor`, qemu or auto")
	fs.StringVar(&f.vmm.CloudHypervisor, "cloud-hypervisor", "", "Cloud Hypervisor's `program`; by default the one on PATH")
	fs.StringVar(&f.vmm.QEMU, "qemu", "", "QEMU's `program`; by default the one on PATH")
	f.daemon.flags(fs)
	fs.StringVar(&f.cache.Dir, "cache", "", "`directory` of the cache between solves; by default there is none")
	fs.StringVar(&f.cache.Key, "cache-key", "", "`name` of what is solved: its former solves are looked for first in the cache")
	fs.IntVar(&f.cacheMB, "cache-mb", 10<<10, "how large the cache may be, in `MiB`")
	fs.StringVar(&f.out, "out", "", "`directory` for the OCI image layout; it must not exist or be empty")
	fs.StringVar(&f.progress, "progress", "auto", "`how` to tell of steps: live (on a terminal), plain (a line each), quiet (warnings alone), or auto: "+
		"live where standard error is a terminal")
	if err := fs.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil, err
		}
		return nil, cli.Usagef("%v", err)
	}
	if fs.NArg() > 0 {
		return nil, cli.Usagef("unexpected argument %q", fs.Arg(0))
	}
	if !slices.Contains([]string{"auto", "live", "plain", "quiet"}, f.progress) {
		return nil, cli.Usagef("--progress %q: it is auto, live, plain or quiet", f.progress)
	}
	if f.machine.Kernel == "" {
		f.machine.Kernel = f.vmlinux
	}
	required, err := f.daemon.required()
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{"spec", "out"}, required...) {
		if fs.Lookup(name).Value.String() == "" {
			return nil, cli.Usagef("--%s is required", name)
		}
	}
	if err := solve.TakeEpoch(&f.job); err != nil {
		return nil, cli.Usagef("--build-arg %v", err)
	}
	return f, nil
}

// pairs takes NAME=VALUE flags.
func pairs(to map[string]string) func(string) error {
	return func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return fmt.Errorf("give NAME=VALUE")
		}
		if _, ok := to[name]; ok {
			return fmt.Errorf("%s is given twice", name)
		}
		to[name] = value
		return nil
	}
}

// idFiles takes ID=FILE flags.
func idFiles(to map[string]string) func(string) error {
	add := pairs(to)
	return func(s string) error {
		if id, _, ok := strings.Cut(s, "="); ok && !wire.IsID(id) {
			return fmt.Errorf("id %q: use letters, digits, '_', '.' and '-'", id)
		}
		return add(s)
	}
}

// options reads the files that the flags name.
func (f *flags) options(stderr io.Writer) (o solve.Options, err error) {
	o = solve.Options{Job: f.job, Machine: f.machine}
	if o.Files, err = readList(f.spec, mapping.ReadSpec); err != nil {
		return o, err
	}
	if f.images != "" {
		if o.Images, err = readList(f.images, solve.ReadImages); err != nil {
			return o, err
		}
	}
	if o.Secrets.Secrets, o.Job.Secrets, err = solve.ReadSecrets(f.secrets); err != nil {
		return o, err
	}
	if o.Secrets.SSH, o.Job.SSH, err = solve.ReadSecrets(f.ssh); err != nil {
		return o, err
	}
	if o.Program = f.daemon.program(); o.Program == nil {
		if err := f.chooseDriver(&o.Machine, stderr); err != nil {
			return o, err
		}
		if f.cache.Dir != "" { // a daemon has its own
			f.cache.Limit = int64(f.cacheMB) << 20
			o.Cache = &f.cache
		}
	}
	o.Event, f.done = f.events(stderr)
	return o, nil
}

// chooseDriver finds what runs the machine, and the kernel for it.
func (f *flags) chooseDriver(m *solve.Machine, stderr io.Writer) (err error) {
	f.vmm.Arch, f.vmm.Network = f.job.Arch, f.job.Network
	if f.progress != "quiet" {
		f.vmm.Note = func(line string) { fmt.Fprintf(stderr, "machine: %s\n", line) }
	}
	if m.Driver, err = drivers.Select(f.vmm); err != nil {
		if f.vmm.Driver == drivers.CloudHypervisor {
			err = fmt.Errorf("%w; for a Bazel action that is --@fledge//fledge/settings:vmm=qemu", err)
		}
		return err
	}
	if _, ok := m.Driver.(cloudhypervisor.Driver); ok && f.vmlinux != "" {
		m.Kernel = f.vmlinux
	}
	return nil
}

// events says what shows the progress, and what ends that.
func (f *flags) events(stderr io.Writer) (show func(wire.Event), done func()) {
	width := terminal.Width(stderr)
	switch {
	case f.progress == "quiet":
		return solve.Warnings(stderr), func() {}
	case f.progress == "live" || f.progress == "auto" && width > 0:
		if width == 0 {
			width = 80
		}
		l := solve.NewLive(stderr, width)
		return l.Event, l.Close
	}
	return solve.Plain(stderr), func() {}
}

func readList[T any](file string, read func(io.Reader) (T, error)) (list T, err error) {
	in, err := os.Open(file)
	if err != nil {
		return list, err
	}
	defer in.Close()
	if list, err = read(in); err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return list, err
}
