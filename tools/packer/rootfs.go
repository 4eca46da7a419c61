package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/squashfs"
)

func runRootfs(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer rootfs", flag.ContinueOnError)
	var comp compressionFlags
	comp.register(fs)
	var link linkFlags
	link.register(fs)
	if err := parseFlags(fs, args, stderr, "out"); err != nil {
		return err
	}
	spec, err := comp.spec(packing.Squashfs)
	if err != nil {
		return err
	}
	packs, err := link.packs()
	if err != nil {
		return err
	}
	debug.SetGCPercent(50) // nearly all that a link allocates stays until its end
	var stats squashfs.Stats
	digest, err := cli.WriteWithDigest(link.out, link.digestOut, func(w io.Writer) (err error) {
		stats, err = linking.Rootfs(ctx, w, packs, linking.RootfsOptions{
			Codec: spec, BlockSize: comp.blockSize, Jobs: comp.jobs, TempDir: filepath.Dir(link.out), Required: link.required,
		})
		return err
	})
	if err != nil {
		return err
	}
	reportRootfs(stderr, link.out, digest, stats)
	return nil
}

// reportRootfs prints one line of summary, and one for each thing that the image could not keep.
func reportRootfs(w io.Writer, out, digest string, s squashfs.Stats) {
	fmt.Fprintf(w, "%s: %d bytes, %s, %d files and %d folders; copied %d bytes of data (about %d of them dead)",
		out, s.Size, digest, s.Files, s.Directories, s.Copied, s.Dead)
	if s.Repacked > 0 {
		fmt.Fprintf(w, ", packed %d fragment blocks again", s.Repacked)
	}
	fmt.Fprintln(w)
	warn(w, linking.RootfsWarnings(s)...)
}

func warn(w io.Writer, lines ...string) {
	for _, line := range lines {
		fmt.Fprintf(w, "warning: %s\n", line)
	}
}
