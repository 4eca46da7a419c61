package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
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
	verityOut   string
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
	made, err := linking.RootfsFile(ctx, o.out, o.digestOut, packs, options)
	if err == nil && made.Verity != nil {
		err = cli.WriteBuffered(o.verityOut, func(w io.Writer) error {
			_, err := w.Write(made.Verity.JSON())
			return err
		})
		if err != nil { // none of the outputs without the others
			os.Remove(o.out)
			os.Remove(o.digestOut)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %d bytes, %s, %d files and %d folders; %s\n",
		o.out, made.Size, made.Digest, made.Files, made.Directories, made.Detail)
	if made.Verity != nil {
		fmt.Fprintf(stderr, "%s: dm-verity's root hash is %s, its hash tree begins at byte %d\n", o.out, made.Verity.RootHash, made.Verity.HashOffset)
	}
	warn(stderr, made.Warnings...)
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
	fs.StringVar(&o.verityOut, "verity-out", "",
		"append a hash tree of dm-verity to a squashfs or erofs image, and write its parameters to this `file`, as JSON")
	return o, parseFlags(fs, args, stderr, "out")
}

// options checks the flags.
func (o *rootfsFlags) options() (linking.FileOptions, error) {
	if !slices.Contains(linked, o.filesystem) {
		return linking.FileOptions{}, cli.Usagef("--filesystem %q: give one of %s", o.filesystem, strings.Join(linked, ", "))
	}
	if o.sizeBuffer < 0 || o.sizeBuffer > ext4.MaxSizeBuffer {
		return linking.FileOptions{}, cli.Usagef("--size-buffer-mb %d: give 0 to %d", o.sizeBuffer, ext4.MaxSizeBuffer)
	}
	if !packing.Writable(o.filesystem) && (o.sizeBuffer > 0 || o.journal || o.preallocate) {
		return linking.FileOptions{}, cli.Usagef("--size-buffer-mb, --journal and --preallocate are for ext4: %s has no free space", o.filesystem)
	}
	if packing.Writable(o.filesystem) && o.verityOut != "" {
		return linking.FileOptions{}, cli.Usagef("--verity-out: %s changes as the guest writes to it, and dm-verity does not let it; leave it out", o.filesystem)
	}
	spec, err := o.spec(o.filesystem)
	return linking.FileOptions{
		RootfsOptions: linking.RootfsOptions{
			Filesystem: o.filesystem, Required: o.required, Jobs: o.jobs,
			Codec: spec, BlockSize: o.blockSize, TempDir: filepath.Dir(o.out),
			SizeBuffer: o.sizeBuffer, Journal: o.journal,
		},
		Preallocate: o.preallocate, Verity: o.verityOut != "",
	}, err
}

func warn(w io.Writer, lines ...string) {
	for _, line := range lines {
		fmt.Fprintf(w, "warning: %s\n", line)
	}
}
