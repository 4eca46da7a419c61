package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/ext4"
	"github.com/fledge-build/fledge/internal/linking"
)

func runExt4(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer ext4", flag.ContinueOnError)
	var link linkFlags
	link.register(fs)
	var o linking.Ext4Options
	fs.IntVar(&o.SizeBuffer, "size-buffer-mb", 0,
		"free space in `MiB`; 0 is a quarter of the content, at least 64, at most 1024")
	fs.BoolVar(&o.Journal, "journal", false, "make the file system with a journal")
	preallocate := fs.Bool("preallocate", false, "write the zeros of free space, rather than leave holes in the image's file")
	fs.IntVar(&o.Jobs, "jobs", 0, "blocks unpacked at once; 0 is one a core; does not change the output")
	if err := parseFlags(fs, args, stderr, "out"); err != nil {
		return err
	}
	packs, err := link.packs()
	if err != nil {
		return err
	}
	if o.SizeBuffer < 0 || o.SizeBuffer > ext4.MaxSizeBuffer {
		return cli.Usagef("--size-buffer-mb %d: give 0 to %d", o.SizeBuffer, ext4.MaxSizeBuffer)
	}
	debug.SetGCPercent(50) // nearly all that a link allocates stays until its end
	o.Required = link.required
	write := cli.WriteSparseWithDigest
	if *preallocate {
		write = cli.WriteWithDigest
	}
	var stats ext4.Stats
	digest, err := write(link.out, link.digestOut, func(w io.Writer) (err error) {
		stats, err = linking.Ext4(ctx, w, packs, o)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %d bytes, %s, %d files and %d folders; %d bytes and %d inodes are free\n",
		link.out, stats.Size, digest, stats.Files, stats.Directories, stats.Free, stats.FreeInodes)
	warn(stderr, linking.Ext4Warnings(stats)...)
	return nil
}
