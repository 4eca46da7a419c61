package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
)

type bootInitramfsFlags struct {
	init, overlaySize, out, digestOut string
	kernel                            kernelFlags
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
	modules, err := o.kernel.modules(bootfs.SelectModules)
	if err != nil {
		return err
	}
	size := byteCount(0)
	digest, err := cli.WriteWithDigest(o.out, o.digestOut, func(w io.Writer) error {
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
	o.kernel.register(fs)
	fs.StringVar(&o.out, "out", "", "the initramfs to write, a `file`")
	fs.StringVar(&o.digestOut, "digest-out", "", "`file` for the initramfs's digest")
	if err := parseFlags(fs, args, stderr, "init", "out"); err != nil {
		return o, err
	}
	if err := o.kernel.check(); err != nil {
		return o, err
	}
	if err := bootconf.CheckSize(o.overlaySize); err != nil {
		return o, cli.Usagef("--overlay-size: %v", err)
	}
	return o, nil
}

// byteCount counts what is written to it.
type byteCount int64

func (n *byteCount) Write(p []byte) (int, error) {
	*n += byteCount(len(p))
	return len(p), nil
}
