package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/ocilayout"
)

// runSplitLayout copies the layers of a layout to files of their own, so that a build system can tell which of them
// changed. Every layer is checked against its digest on the way.
func runSplitLayout(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer split-layout", flag.ContinueOnError)
	layout := fs.String("layout", "", "OCI layout `directory`, or OCI or docker-save archive")
	platform := fs.String("platform", "", "`os/architecture` to choose from several images")
	config := fs.String("config-out", "", "`file` for the image's config")
	var outs []string
	fs.Func("layer-out", "`file` for the next layer, base layer first; one for each layer", func(s string) error {
		outs = append(outs, s)
		return nil
	})
	if err := parseFlags(fs, args, stderr); err != nil {
		return err
	}
	if *layout == "" || *config == "" {
		return cli.Usagef("--layout and --config-out are required")
	}
	image, err := ocilayout.Open(*layout, *platform)
	if err != nil {
		return err
	}
	defer image.Close()
	if n := len(image.Layers()); n != len(outs) {
		return fmt.Errorf("%s: the image has %d layers, not %d; set layers = %d", *layout, n, len(outs), n)
	}
	for i, layer := range image.Layers() {
		if err := copyLayer(ctx, layer, outs[i]); err != nil {
			return fmt.Errorf("%s: %w", *layout, err)
		}
	}
	raw, _ := image.Config()
	return cli.WriteBuffered(*config, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

func copyLayer(ctx context.Context, layer ocilayout.Layer, out string) error {
	in, err := layer.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	return cli.WriteFile(out, func(f *os.File) error {
		if _, err := io.Copy(f, in); err != nil {
			return err
		}
		return ctx.Err()
	})
}
