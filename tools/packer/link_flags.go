package main

import (
	"flag"

	"github.com/fledge-build/fledge/internal/cli"
)

// linkFlags are the flags of the commands that link layer packs into a root file system.
type linkFlags struct {
	paths, required []string
	out, digestOut  string
}

func (l *linkFlags) register(fs *flag.FlagSet) {
	fs.Func("pack", "layer pack `file`, or a folder, whose *.pack are taken in the order of their names; "+
		"given once a layer, the base first", func(path string) error {
		l.paths = append(l.paths, path)
		return nil
	})
	fs.Func("require", "`path` of a program that must be in the image; may be repeated", func(path string) error {
		l.required = append(l.required, path)
		return nil
	})
	fs.StringVar(&l.out, "out", "", "image `file` to write")
	fs.StringVar(&l.digestOut, "digest-out", "", "`file` to write the image's digest to, as sha256:HEX")
}

// packs are the files of the packs.
func (l *linkFlags) packs() ([]string, error) {
	if len(l.paths) == 0 {
		return nil, cli.Usagef("--pack is required")
	}
	return packFiles(l.paths)
}
