package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/kmod"
)

type bootInitramfsFlags struct {
	init, overlaySize, kernelModules, out, digestOut string
	modules                                          []string
}

func runBootInitramfs(_ context.Context, args []string, stderr io.Writer) error {
	o, err := parseBootInitramfs(args, stderr)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(o.init)
	if err != nil {
		return err
	}
	modules, err := bootModules(o)
	if err != nil {
		return err
	}
	size := byteCount(0)
	digest, err := writeWithDigest(o.out, o.digestOut, func(w io.Writer) error {
		return bootfs.Write(io.MultiWriter(w, &size), bootfs.Options{
			Init: program, OverlaySize: o.overlaySize, Modules: modules,
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %d bytes, %s, overlay %s, %d kernel modules\n",
		o.out, size, digest, o.overlaySize, len(modules))
	return nil
}

func parseBootInitramfs(args []string, stderr io.Writer) (o bootInitramfsFlags, err error) {
	fs := flag.NewFlagSet("packer boot-initramfs", flag.ContinueOnError)
	fs.StringVar(&o.init, "init", "", "static `program` that becomes /init")
	fs.StringVar(&o.overlaySize, "overlay-size", "1G", "`size` of the tmpfs for writes to the root: 512M, 1G, 50%")
	fs.StringVar(&o.kernelModules, "kernel-modules", "",
		"the kernel's lib/modules/RELEASE, a `folder` or a tar; without it the kernel must have its drivers built in")
	fs.Func("module", "further kernel module to load, by `name`; may be repeated", func(s string) error {
		o.modules = append(o.modules, s)
		return nil
	})
	fs.StringVar(&o.out, "out", "", "the initramfs to write, a `file`")
	fs.StringVar(&o.digestOut, "digest-out", "", "`file` for the initramfs's digest")
	if err := parseFlags(fs, args, stderr, "init", "out"); err != nil {
		return o, err
	}
	if o.kernelModules == "" && len(o.modules) > 0 {
		return o, cli.Usagef("--module %s needs --kernel-modules, the kernel to take it from", strings.Join(o.modules, ", "))
	}
	if err := bootconf.CheckSize(o.overlaySize); err != nil {
		return o, cli.Usagef("--overlay-size: %v", err)
	}
	return o, nil
}

// bootModules are the modules of the given kernel; never those of the one that runs here.
func bootModules(o bootInitramfsFlags) ([]kmod.Module, error) {
	if o.kernelModules == "" {
		return nil, nil
	}
	kernel, err := kmod.Open(o.kernelModules)
	if err != nil {
		return nil, err
	}
	modules, err := bootfs.SelectModules(kernel, o.modules)
	if closeErr := kernel.Close(); err == nil {
		err = closeErr
	}
	return modules, err
}

// byteCount counts what is written to it.
type byteCount int64

func (n *byteCount) Write(p []byte) (int, error) {
	*n += byteCount(len(p))
	return len(p), nil
}
