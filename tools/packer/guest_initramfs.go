package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/fill"
)

// runGuestInitramfs makes what a machine of the build boots: one that solves Dockerfiles or fills a file system.
func runGuestInitramfs(_ context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer guest-initramfs", flag.ContinueOnError)
	guest := fs.String("guest", "", "static `program` that becomes /init")
	purpose := fs.String("for", "solve", "`what` the machine does: solve, or fill an xfs or btrfs")
	var kernel kernelFlags
	kernel.register(fs)
	out := fs.String("out", "", "the initramfs to write, a `file`")
	if err := parseFlags(fs, args, stderr, "guest", "out"); err != nil {
		return err
	}
	if err := kernel.check(); err != nil {
		return err
	}
	choose, conforms := bootfs.SelectGuestModules, bootfs.CheckGuestConfig
	switch *purpose {
	case "solve":
	case fill.XFS, fill.Btrfs:
		choose, conforms = bootfs.SelectFillModules(*purpose), bootfs.CheckFillConfig(*purpose)
	default:
		return cli.Usagef("--for %q: it is solve, %s or %s", *purpose, fill.XFS, fill.Btrfs)
	}
	program, err := os.ReadFile(*guest)
	if err != nil {
		return err
	}
	modules, err := kernel.Bundle(choose, conforms)
	if err != nil {
		return err
	}
	size := byteCount(0)
	digest, err := cli.WriteWithDigest(*out, "", func(w io.Writer) error {
		return bootfs.WriteGuest(io.MultiWriter(w, &size), program, modules)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %d bytes, %s, %d kernel modules\n", *out, size, digest, len(modules))
	return nil
}
