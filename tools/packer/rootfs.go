package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/ext4"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/packing"
)

// linked are the file systems that packs are linked into; those that their own programs make are filled from ext4.
var linked = []string{packing.Squashfs, packing.Erofs, packing.Ext4}

type rootfsFlags struct {
	linkFlags
	compressionFlags
	filesystem  string
	sizeBuffer  int
	journal     bool
	preallocate bool
}

func runRootfs(ctx context.Context, args []string, stderr io.Writer) error {
	o, err := parseRootfs(args, stderr)
	if err != nil {
		return err
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	packs, err := o.packs()
	if err != nil {
		return err
	}
	debug.SetGCPercent(50) // nearly all that a link allocates stays until its end
	write := cli.WriteWithDigest
	if packing.Writable(o.filesystem) && !o.preallocate {
		write = cli.WriteSparseWithDigest
	}
	var stats linking.RootfsStats
	digest, err := write(o.out, o.digestOut, func(w io.Writer) (err error) {
		stats, err = linking.Rootfs(ctx, w, packs, options)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %d bytes, %s, %d files and %d folders; %s\n",
		o.out, stats.Size, digest, stats.Files, stats.Directories, stats.Detail)
	warn(stderr, stats.Warnings...)
	return nil
}

func parseRootfs(args []string, stderr io.Writer) (o rootfsFlags, err error) {
	fs := flag.NewFlagSet("packer rootfs", flag.ContinueOnError)
	fs.StringVar(&o.filesystem, "filesystem", packing.Squashfs, "`type` of the image: "+strings.Join(linked, ", "))
	o.linkFlags.register(fs)
	o.compressionFlags.register(fs)
	fs.IntVar(&o.sizeBuffer, "size-buffer-mb", 0,
		"free space of ext4 in `MiB`; 0 is a quarter of the content, at least 64, at most 1024")
	fs.BoolVar(&o.journal, "journal", false, "give ext4 a journal")
	fs.BoolVar(&o.preallocate, "preallocate", false, "write the zeros of ext4's free space, rather than leave holes in the image's file")
	return o, parseFlags(fs, args, stderr, "out")
}

// options checks the flags.
func (o *rootfsFlags) options() (linking.RootfsOptions, error) {
	if !slices.Contains(linked, o.filesystem) {
		return linking.RootfsOptions{}, cli.Usagef("--filesystem %q: give one of %s", o.filesystem, strings.Join(linked, ", "))
	}
	if o.sizeBuffer < 0 || o.sizeBuffer > ext4.MaxSizeBuffer {
		return linking.RootfsOptions{}, cli.Usagef("--size-buffer-mb %d: give 0 to %d", o.sizeBuffer, ext4.MaxSizeBuffer)
	}
	if !packing.Writable(o.filesystem) && (o.sizeBuffer > 0 || o.journal || o.preallocate) {
		return linking.RootfsOptions{}, cli.Usagef("--size-buffer-mb, --journal and --preallocate are for ext4: %s has no free space", o.filesystem)
	}
	spec, err := o.spec(o.filesystem)
	return linking.RootfsOptions{
		Filesystem: o.filesystem, Required: o.required, Jobs: o.jobs,
		Codec: spec, BlockSize: o.blockSize, TempDir: filepath.Dir(o.out),
		SizeBuffer: o.sizeBuffer, Journal: o.journal,
	}, err
}

func warn(w io.Writer, lines ...string) {
	for _, line := range lines {
		fmt.Fprintf(w, "warning: %s\n", line)
	}
}
