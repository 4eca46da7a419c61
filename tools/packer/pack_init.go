package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
)

func runPackInit(_ context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer pack-init", flag.ContinueOnError)
	flags := packFlags{target: packing.Initramfs}
	flags.compressionFlags.register(fs)
	program := fs.String("init", "", "static `program` that becomes /init")
	exec := fs.String("exec", "", "absolute `path` of the program that the init becomes")
	var kernel kernelFlags
	kernel.register(fs)
	out := fs.String("out", "", "`file` to write the layer pack to")
	if err := parseFlags(fs, args, stderr, "init", "exec", "out"); err != nil {
		return err
	}
	settings, err := flags.settings()
	if err != nil {
		return err
	}
	if err := kernel.check(); err != nil {
		return err
	}
	if err := bootconf.CheckExec(*exec); err != nil {
		return cli.Usagef("--exec: %v", err)
	}
	o := bootfs.LayerOptions{Exec: *exec}
	if o.Init, err = os.ReadFile(*program); err != nil {
		return err
	}
	if o.Modules, err = kernel.modules(bootfs.SelectDeviceModules); err != nil {
		return err
	}
	return cli.WriteFile(*out, func(f *os.File) error {
		_, err := settings.Write(f, func(to layerpack.Adder) error { return bootfs.AddLayer(to, o) })
		return err
	})
}

// kernelFlags are the flags of the commands that bundle kernel modules.
type kernelFlags struct {
	folder string
	extra  []string
}

func (k *kernelFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&k.folder, "kernel-modules", "",
		"the kernel's lib/modules/RELEASE, a `folder` or a tar; without it the kernel must have its drivers built in")
	fs.Func("module", "further kernel module to load, by `name`; may be repeated", func(s string) error {
		k.extra = append(k.extra, s)
		return nil
	})
}

func (k *kernelFlags) check() error {
	if k.folder == "" && len(k.extra) > 0 {
		return cli.Usagef("--module %s needs --kernel-modules, the kernel to take it from", k.extra[0])
	}
	return nil
}

// modules are those that choose takes from the given kernel; never those of the one that runs here.
func (k *kernelFlags) modules(choose func(*kmod.Tree, []string) ([]kmod.Module, error)) ([]kmod.Module, error) {
	if k.folder == "" {
		return nil, nil
	}
	kernel, err := kmod.Open(k.folder)
	if err != nil {
		return nil, err
	}
	modules, err := choose(kernel, k.extra)
	if closeErr := kernel.Close(); err == nil {
		err = closeErr
	}
	return modules, err
}
