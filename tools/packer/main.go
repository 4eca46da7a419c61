// Command packer packs OCI layers, links them into bootable images and writes their manifests. It is what the Bazel
// rules run: flags in, files out, no network, no host tools.
//
// Exit codes: 0 success, 1 a bad input or a failed read or write, 2 a wrong command line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/cli"
)

// command is one subcommand: it parses args, reads and writes the files they name, and reports on stderr.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, stderr io.Writer) error
}

var commands = []command{
	{"pack", "pack one OCI layer (tar, tar+gzip, tar+zstd) into a layer pack", runPack},
	{"pack-files", "pack single files with given destinations into a layer pack", runPackFiles},
	{"pack-layout", "pack every layer of an OCI layout, or of an OCI or docker-save tar", runPackLayout},
	{"pack-init", "pack the init of an initramfs with its kernel modules", runPackInit},
	{"pack-busybox", "pack busybox and links to its applets for an initramfs", runPackBusybox},
	{"split-layout", "copy the layers of an OCI layout, or of such a tar, to files of their own", runSplitLayout},
	{"rootfs", "link layer packs into a root file system: squashfs, erofs or ext4", runRootfs},
	{"boot-initramfs", "make the small initramfs that boots such an image", runBootInitramfs},
	{"guest-initramfs", "make the initramfs of a machine that solves Dockerfiles or fills a file system", runGuestInitramfs},
	{"initramfs", "link layer packs, made --for initramfs, into an initramfs", runInitramfs},
	{"manifest", "turn manifest.toml and the image's config into manifest.json", runManifest},
}

func main() {
	cli.Main("packer", func(ctx context.Context) error { return dispatch(ctx, os.Args[1:], os.Stderr) })
}

func dispatch(ctx context.Context, args []string, stderr io.Writer) error {
	if len(args) == 0 {
		usage(stderr)
		return cli.Usagef("no command given")
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stderr)
		return nil
	}
	for _, c := range commands {
		if c.name == args[0] {
			if err := c.run(ctx, args[1:], stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			return nil
		}
	}
	return cli.Usagef("unknown command %q; packer help lists the commands", args[0])
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: packer COMMAND [flags]\n\ncommands:")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-15s %s\n", c.name, c.summary)
	}
	fmt.Fprintln(w, "\npacker COMMAND -help lists a command's flags.")
}
