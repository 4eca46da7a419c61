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
	"github.com/fledge-build/fledge/internal/verity"
)

type bootInitramfsFlags struct {
	init, overlaySize, out, digestOut string
	verity                            string // of bootfs.Options
	kernel                            kernelFlags
	filesystem, compression           string
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
	needs := o.needs()
	modules, err := o.kernel.Bundle(needs.SelectModules, needs.CheckConfig)
	if err != nil {
		return err
	}
	size := byteCount(0)
	digest, err := cli.WriteWithDigest(o.out, o.digestOut, func(w io.Writer) error {
		return bootfs.Write(io.MultiWriter(w, &size), bootfs.Options{
			Init: program, OverlaySize: o.overlaySize, Verity: o.verity, Modules: modules,
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
	verityFile := fs.String("verity", "", "`file` that packer rootfs --verity-out wrote: boot the image with this root hash alone")
	verityCmdline := fs.Bool("verity-cmdline", false, "boot an image of dm-verity alone, with the root hash in roothash= on the kernel command line")
	o.kernel.register(fs)
	fs.StringVar(&o.filesystem, "filesystem", "squashfs", "`type` of the root file system: squashfs, erofs, ext4, xfs or btrfs")
	fs.StringVar(&o.compression, "compression", "zstd", "`compressor` of a squashfs or erofs: zstd, gzip, xz, lz4 or none")
	fs.StringVar(&o.out, "out", "", "the initramfs to write, a `file`")
	fs.StringVar(&o.digestOut, "digest-out", "", "`file` for the initramfs's digest")
	if err := parseFlags(fs, args, stderr, "init", "filesystem", "out"); err != nil {
		return o, err
	}
	if err := o.kernel.check(); err != nil {
		return o, err
	}
	if err := o.needs().Check(); err != nil {
		return o, cli.Usagef("%v", err)
	}
	if err := bootconf.CheckSize(o.overlaySize); err != nil {
		return o, cli.Usagef("--overlay-size: %v", err)
	}
	switch {
	case *verityCmdline && *verityFile != "":
		return o, cli.Usagef("--verity and --verity-cmdline exclude each other: the root hash is in the initramfs or on the command line")
	case *verityCmdline:
		o.verity = bootconf.VerityCmdline
	case *verityFile != "":
		params, err := readVerity(*verityFile)
		if err != nil {
			return o, err
		}
		o.verity = params.RootHash.String()
	}
	return o, nil
}

// needs is what the image needs of its kernel.
func (o *bootInitramfsFlags) needs() bootfs.Needs {
	return bootfs.Needs{Filesystem: o.filesystem, Compression: o.compression, Verity: o.verity != ""}
}

// readVerity reads what packer rootfs --verity-out wrote.
func readVerity(file string) (verity.Params, error) {
	raw, err := readSmall(file, verity.MaxJSON)
	if err != nil {
		return verity.Params{}, err
	}
	params, err := verity.Parse(raw)
	if err != nil {
		return params, fmt.Errorf("%s: %w", file, err)
	}
	return params, nil
}

// byteCount counts what is written to it.
type byteCount int64

func (n *byteCount) Write(p []byte) (int, error) {
	*n += byteCount(len(p))
	return len(p), nil
}
