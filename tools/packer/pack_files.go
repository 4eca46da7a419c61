package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/mapping"
)

func runPackFiles(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer pack-files", flag.ContinueOnError)
	var flags packFlags
	flags.register(fs)
	specPath := fs.String("spec", "", "`file` with one JSON object a line: src, dest and, as needed, executable and mode; "+
		"or path and mode for a file in a folder that is a src")
	out := fs.String("out", "", "`file` to write the layer pack to")
	if err := parseFlags(fs, args, stderr, "spec", "out"); err != nil {
		return err
	}
	settings, err := flags.settings()
	if err != nil {
		return err
	}
	spec, err := readFilesSpec(*specPath)
	if err != nil {
		return fmt.Errorf("%s: %w", *specPath, err)
	}
	return cli.WriteFile(*out, func(f *os.File) error {
		_, err := settings.Write(f, func(to layerpack.Adder) error { return spec.Pack(ctx, to) })
		return err
	})
}

func readFilesSpec(path string) (*mapping.Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mapping.ReadSpec(f)
}
