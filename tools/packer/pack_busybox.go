package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/busybox"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
)

func runPackBusybox(_ context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer pack-busybox", flag.ContinueOnError)
	flags := packFlags{target: packing.Initramfs}
	flags.compressionFlags.register(fs)
	program := fs.String("busybox", "", "static busybox `program`")
	out := fs.String("out", "", "`file` to write the layer pack to")
	if err := parseFlags(fs, args, stderr, "busybox", "out"); err != nil {
		return err
	}
	settings, err := flags.settings()
	if err != nil {
		return err
	}
	b, err := os.ReadFile(*program)
	if err != nil {
		return err
	}
	return cli.WriteFile(*out, func(f *os.File) error {
		_, err := settings.Write(f, func(to layerpack.Adder) error {
			if err := busybox.AddLayer(to, b); err != nil {
				return fmt.Errorf("busybox %s: %w", *program, err)
			}
			return nil
		})
		return err
	})
}
