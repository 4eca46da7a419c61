package main

import (
	"flag"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
)

// kernelFlags are the flags of the commands that make what boots on a kernel.
type kernelFlags struct{ bootfs.Kernel }

func (k *kernelFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&k.Modules, "kernel-modules", "",
		"the kernel's lib/modules/RELEASE, a `folder` or a tar; without it the kernel must have its drivers built in")
	fs.StringVar(&k.Config, "kernel-config", "",
		"the kernel's configuration, a `file` as .config or /proc/config.gz: fail when it lacks what booting needs")
	fs.Func("module", "further kernel module to load, by `name`; may be repeated", func(s string) error {
		k.Extra = append(k.Extra, s)
		return nil
	})
}

func (k *kernelFlags) check() error {
	if k.Modules == "" && len(k.Extra) > 0 {
		return cli.Usagef("--module %s needs --kernel-modules, the kernel to take it from", k.Extra[0])
	}
	return nil
}
