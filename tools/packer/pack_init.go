package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
)

func runPackInit(_ context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer pack-init", flag.ContinueOnError)
	flags := packFlags{target: packing.Initramfs}
	flags.compressionFlags.register(fs)
	program := fs.String("init", "", "static `program` that becomes /init")
	exec := fs.String("exec", "", "absolute `path` of the program that the init becomes")
	var kernel kernelFlags
	kernel.register(fs)
	out := fs.String("out", "", "`file` to write the layer pack to")
	if err := parseFlags(fs, args, stderr, "init", "exec", "out"); err != nil {
		return err
	}
	settings, err := flags.settings()
	if err != nil {
		return err
	}
	if err := kernel.check(); err != nil {
		return err
	}
	if err := bootconf.CheckExec(*exec); err != nil {
		return cli.Usagef("--exec: %v", err)
	}
	o := bootfs.LayerOptions{Exec: *exec}
	if o.Init, err = os.ReadFile(*program); err != nil {
		return err
	}
	needs := bootfs.Needs{Compression: settings.Codec.Name}
	if o.Modules, err = kernel.Bundle(needs.SelectModules, needs.CheckConfig); err != nil {
		return err
	}
	return cli.WriteFile(*out, func(f *os.File) error {
		_, err := settings.Write(f, func(to layerpack.Adder) error { return bootfs.AddLayer(to, o) })
		return err
	})
}
