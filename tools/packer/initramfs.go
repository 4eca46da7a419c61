package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/elfinfo"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/initramfs"
)

type initramfsFlags struct {
	comp                        compressionFlags
	layers                      []layerFlag
	required                    []string
	arch, lint                  string
	strictXattrs                bool
	out, digestOut, unpackedOut string
}

// layerFlag is a pack, or a folder of packs, on the command line.
type layerFlag struct {
	path string
	fill bool // only what is missing
}

func runInitramfs(ctx context.Context, args []string, stderr io.Writer) error {
	o, err := parseInitramfs(args, stderr)
	if err != nil {
		return err
	}
	spec, err := o.comp.initramfsSpec()
	if err != nil {
		return err
	}
	debug.SetGCPercent(30) // as for packing
	tree, packs, err := mergeInitramfs(o.layers)
	defer closeAll(packs)
	if err != nil {
		return err
	}
	if err := checkInitramfs(stderr, tree, packs, o); err != nil {
		return err
	}
	var stats initramfs.Stats
	sized := false
	digest, err := writeWithDigest(o.out, o.digestOut, func(w io.Writer) error {
		stats, err = initramfs.Link(ctx, w, tree, packs, initramfs.Options{Codec: spec, Jobs: o.comp.jobs})
		if err != nil || o.unpackedOut == "" {
			return err
		}
		err := cli.WriteBuffered(o.unpackedOut, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, stats.Unpacked)
			return err
		})
		sized = err == nil
		return err
	})
	if err != nil {
		if sized { // of nothing
			os.Remove(o.unpackedOut)
		}
		return err
	}
	reportInitramfs(stderr, o.out, digest, stats)
	return nil
}

func parseInitramfs(args []string, stderr io.Writer) (o initramfsFlags, err error) {
	fs := flag.NewFlagSet("packer initramfs", flag.ContinueOnError)
	o.comp.register(fs)
	fs.Func("pack", "layer pack `file`, or a folder, whose *.pack are taken in the order of their names; "+
		"given once a layer, the base first", func(path string) error {
		o.layers = append(o.layers, layerFlag{path: path})
		return nil
	})
	fs.Func("fill-pack", "as --pack, for a `file` that adds only what the layers before it lack, and nothing where they "+
		"have its first entry", func(path string) error {
		o.layers = append(o.layers, layerFlag{path: path, fill: true})
		return nil
	})
	fs.Func("require", "`path` of a program that must be in the image; may be repeated", func(path string) error {
		o.required = append(o.required, path)
		return nil
	})
	fs.StringVar(&o.arch, "arch", "", "`architecture` of the machine, amd64 or arm64: look for programs that cannot run there")
	fs.StringVar(&o.lint, "lint", "error", "what such a program is: an `error` or a warning")
	fs.BoolVar(&o.strictXattrs, "strict-xattrs", false, "a file that loses its capabilities is an error")
	fs.StringVar(&o.out, "out", "", "initramfs `file` to write")
	fs.StringVar(&o.digestOut, "digest-out", "", "`file` to write its digest to, as sha256:HEX")
	fs.StringVar(&o.unpackedOut, "unpacked-out", "", "`file` to write the bytes of memory to that it takes unpacked")
	if err := parseFlags(fs, args, stderr, "out"); err != nil {
		return o, err
	}
	switch {
	case len(o.layers) == 0:
		return o, cli.Usagef("--pack is required")
	case o.lint != "error" && o.lint != "warning":
		return o, cli.Usagef("--lint %q: give error or warning", o.lint)
	}
	if o.arch != "" {
		if _, err := elfinfo.Machine(o.arch); err != nil {
			return o, cli.Usagef("--arch: %v", err)
		}
	}
	return o, nil
}

// mergeInitramfs merges the layers, on top of the directories that every initramfs has. packs has the pack of each layer,
// by its number in the tree; they have to be closed, whatever the error.
func mergeInitramfs(layers []layerFlag) (tree *fstree.Tree, packs []*cpiopack.Reader, err error) {
	m := fstree.NewMerger()
	if err := m.AddLayer("base", initramfs.Base()); err != nil {
		return nil, nil, err
	}
	packs = append(packs, nil)
	var paths []string
	for _, l := range layers {
		paths = append(paths, l.path)
	}
	for _, l := range layers[firstCounting(paths):] {
		opened, err := openAll([]string{l.path}, cpiopack.Open)
		packs = append(packs, opened...)
		if err != nil {
			return nil, packs, err
		}
		for _, p := range opened {
			add := m.AddLayer
			if l.fill {
				add = m.AddMissing
			}
			if err := add(p.Name(), p.Entries()); err != nil {
				return nil, packs, err
			}
		}
	}
	tree, err = m.Tree()
	return tree, packs, err
}

// checkInitramfs finds what would only show when the image does not boot.
func checkInitramfs(stderr io.Writer, tree *fstree.Tree, packs []*cpiopack.Reader, o initramfsFlags) error {
	if err := checkRequired(tree, o.required); err != nil {
		return err
	}
	if o.strictXattrs {
		if err := checkCapabilities(tree); err != nil {
			return err
		}
	}
	if o.arch == "" {
		return nil
	}
	problems, err := initramfs.Lint(tree, packs, o.arch)
	if err != nil || len(problems) == 0 {
		return err
	}
	text := firstOf(problems)
	if o.lint == "error" {
		return errors.New(text + "\nif these are never run, set lint = \"warning\"")
	}
	_, err = fmt.Fprintf(stderr, "warning: %s\n", strings.ReplaceAll(text, "\n", "\nwarning: "))
	return err
}

// checkCapabilities refuses files that would lose their capabilities.
func checkCapabilities(tree *fstree.Tree) error {
	var problems []string
	for path, n := range tree.All() {
		for _, x := range n.Xattrs() {
			if x.Name == capability {
				problems = append(problems, fmt.Sprintf("/%s has file capabilities (%s)", path, capability))
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(firstOf(problems) + "\nan initramfs cannot hold them: give these programs to root, boot a squashfs " +
		"image, or leave strict_xattrs out")
}

// firstOf is a line for each of the first problems, and one for how many there are beyond.
func firstOf(problems []string) string {
	const most = 10
	if len(problems) <= most {
		return strings.Join(problems, "\n")
	}
	return fmt.Sprintf("%s\nand %d more", strings.Join(problems[:most], "\n"), len(problems)-most)
}

const capability = "security.capability"

func reportInitramfs(w io.Writer, out, digest string, s initramfs.Stats) {
	fmt.Fprintf(w, "%s: %d bytes, %s, %d files and %d folders, %d bytes unpacked; copied %d segments, compressed %d again\n",
		out, s.Size, digest, s.Files, s.Directories, s.Unpacked, s.Copied, s.Rewritten)
	for _, path := range s.Capabilities {
		fmt.Fprintf(w, "warning: /%s loses its file capabilities (%s), which an initramfs cannot hold\n", path, capability)
	}
	if s.Xattrs > 0 {
		fmt.Fprintf(w, "warning: dropped %d other extended attributes, which an initramfs cannot hold\n", s.Xattrs)
	}
	if s.Clamped > 0 {
		fmt.Fprintf(w, "warning: %d files have times outside of 1970 to 2106, which an initramfs cannot hold; "+
			"they got the nearest it can\n", s.Clamped)
	}
}

func closeAll(packs []*cpiopack.Reader) {
	for _, p := range packs {
		if p != nil {
			p.Close()
		}
	}
}
