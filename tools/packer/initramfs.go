package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/elfinfo"
	"github.com/fledge-build/fledge/internal/initramfs"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/packing"
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
	spec, err := o.comp.spec(packing.Initramfs)
	if err != nil {
		return err
	}
	debug.SetGCPercent(30) // as for packing
	layers, err := o.packs()
	if err != nil {
		return err
	}
	var stats initramfs.Stats
	sized := false
	digest, err := cli.WriteWithDigest(o.out, o.digestOut, func(w io.Writer) error {
		stats, err = linking.Initramfs(ctx, w, layers, linking.InitramfsOptions{
			Codec: spec, Jobs: o.comp.jobs, Required: o.required, Arch: o.arch, LintWarns: o.lint == "warning",
			LintRemedy:   `set lint = "warning"`,
			StrictXattrs: o.strictXattrs, Warn: func(line string) { warn(stderr, line) },
		})
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

// packs are the packs of all layers, base first.
func (o *initramfsFlags) packs() (layers []linking.Layer, err error) {
	var paths []string
	for _, l := range o.layers {
		paths = append(paths, l.path)
	}
	for _, l := range o.layers[firstCounting(paths):] {
		files, err := packFiles([]string{l.path})
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			layers = append(layers, linking.Layer{Pack: file, Fill: l.fill})
		}
	}
	return layers, nil
}

func reportInitramfs(w io.Writer, out, digest string, s initramfs.Stats) {
	fmt.Fprintf(w, "%s: %d bytes, %s, %d files and %d folders, %d bytes unpacked; copied %d segments, compressed %d again\n",
		out, s.Size, digest, s.Files, s.Directories, s.Unpacked, s.Copied, s.Rewritten)
	warn(w, linking.InitramfsWarnings(s)...)
}
