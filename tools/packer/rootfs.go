package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/squashfs"
)

func runRootfs(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer rootfs", flag.ContinueOnError)
	var comp compressionFlags
	comp.register(fs)
	var paths []string
	fs.Func("pack", "layer pack `file`, or a folder, whose *.pack are taken in the order of their names; "+
		"given once a layer, the base first", func(path string) error {
		paths = append(paths, path)
		return nil
	})
	var required []string
	fs.Func("require", "`path` of a program that must be in the image; may be repeated", func(path string) error {
		required = append(required, path)
		return nil
	})
	out := fs.String("out", "", "image `file` to write")
	digestOut := fs.String("digest-out", "", "`file` to write the image's digest to, as sha256:HEX")
	if err := parseFlags(fs, args, stderr, "out"); err != nil {
		return err
	}
	spec, err := comp.spec()
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return cli.Usagef("--pack is required")
	}
	debug.SetGCPercent(50) // nearly all that a link allocates stays until its end
	packs, err := openAll(paths[firstCounting(paths):], layerpack.Open)
	defer closePacks(packs)
	if err != nil {
		return err
	}
	var stats squashfs.Stats
	digest, err := writeWithDigest(*out, *digestOut, func(w io.Writer) (err error) {
		stats, err = linkRootfs(ctx, w, packs, required, squashfs.Options{
			Codec: spec, BlockSize: comp.blockSize, Jobs: comp.jobs, TempDir: filepath.Dir(*out),
		})
		return err
	})
	if err != nil {
		return err
	}
	reportRootfs(stderr, *out, digest, stats)
	return nil
}

// linkRootfs merges the packs and writes the image, if the required programs are there.
func linkRootfs(
	ctx context.Context, w io.Writer, packs []*layerpack.Reader, required []string, o squashfs.Options,
) (squashfs.Stats, error) {
	m := fstree.NewMerger()
	for _, p := range packs {
		if err := m.AddLayer(p.File().Name(), p.Entries()); err != nil {
			return squashfs.Stats{}, err
		}
	}
	tree, err := m.Tree()
	if err != nil {
		return squashfs.Stats{}, err
	}
	if err := checkRequired(tree, required); err != nil {
		return squashfs.Stats{}, err
	}
	return squashfs.Link(ctx, w, tree, packs, o)
}

func closePacks(packs []*layerpack.Reader) {
	for _, p := range packs {
		p.Close()
	}
}

// reportRootfs prints one line of summary, and one for each thing that the image could not keep.
func reportRootfs(w io.Writer, out, digest string, s squashfs.Stats) {
	fmt.Fprintf(w, "%s: %d bytes, %s, %d files and %d folders; copied %d bytes of data (about %d of them dead)",
		out, s.Size, digest, s.Files, s.Directories, s.Copied, s.Dead)
	if s.Repacked > 0 {
		fmt.Fprintf(w, ", packed %d fragment blocks again", s.Repacked)
	}
	fmt.Fprintln(w)
	if d := s.Dropped; d.Count > 0 {
		fmt.Fprintf(w, "warning: dropped %d extended attributes, the first %q of %q: squashfs stores only those of "+
			"the namespaces user, trusted and security\n", d.Count, d.Name, d.Path)
	}
	if s.Clamped > 0 {
		fmt.Fprintf(w, "warning: %d files have times outside of 1970 to 2106, which squashfs cannot store; "+
			"they got the nearest it can\n", s.Clamped)
	}
}
