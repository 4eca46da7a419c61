package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/tempfile"
)

func runPackLayout(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer pack-layout", flag.ContinueOnError)
	var flags packFlags
	flags.register(fs)
	layout := fs.String("layout", "", "OCI image layout (`directory` or tar), or tar of docker save")
	platform := fs.String("platform", "", "`os/architecture` to choose from several images, such as linux/amd64")
	maxUnpacked := maxUnpackedFlag(fs)
	baseConfig := fs.String("base-config", "", "`file` with the config of the image's base, whose layers have packs of their own")
	outDir := fs.String("out-dir", "", "empty or new `directory` for the packs 0000.pack, 0001.pack …, base layer first")
	configOut := fs.String("config-out", "", "`file` to write the image's configuration to")
	if err := parseFlags(fs, args, stderr, "layout", "out-dir", "config-out"); err != nil {
		return err
	}
	settings, err := flags.settings()
	if err != nil {
		return err
	}
	image, err := ocilayout.Open(*layout, *platform)
	if err != nil {
		return err
	}
	defer image.Close()
	// Packs appear in the directory only when all of them are good.
	dir := filepath.Clean(*outDir)
	folder, err := tempfile.MakeFolder(dir)
	if err != nil {
		return cli.About(err, dir)
	}
	defer folder.Remove()
	temp := filepath.Join(folder.Path, filepath.Base(dir))
	if err := os.Mkdir(temp, 0o777); err != nil {
		return cli.About(err, dir)
	}
	layers, err := aboveBase(image, *baseConfig, temp)
	if err != nil {
		return err
	}
	if err := packLayers(ctx, layers, temp, settings, *maxUnpacked); err != nil {
		return fmt.Errorf("image %s: %w", *layout, cli.AboutFolder(err, folder.Path, filepath.Dir(dir)))
	}
	config, _ := image.Config()
	moved := false
	err = cli.WriteFile(*configOut, func(f *os.File) error {
		if _, err := f.Write(config); err != nil {
			return err
		}
		err := moveTo(dir, temp)
		moved = err == nil
		return err
	})
	if err != nil && moved { // none of the outputs without the others
		return errors.Join(err, os.Rename(dir, temp))
	}
	return err
}

// aboveBase gives the layers that the image has beyond those of its base, all without a base, and marks in dir which it
// is.
func aboveBase(image *ocilayout.Image, baseConfig, dir string) ([]ocilayout.Layer, error) {
	layers := image.Layers()
	if baseConfig == "" {
		return layers, nil
	}
	base, err := ocilayout.ReadConfig(baseConfig)
	if err != nil {
		return nil, err
	}
	mark := onBase
	for i, diffID := range base.RootFS.DiffIDs {
		if i >= len(layers) || layers[i].DiffID != diffID {
			mark = complete
		}
	}
	if mark == onBase {
		layers = layers[len(base.RootFS.DiffIDs):]
	}
	return layers, cli.WriteFile(filepath.Join(dir, mark), func(*os.File) error { return nil })
}

// packLayers writes a pack for each layer to dir.
func packLayers(
	ctx context.Context, layers []ocilayout.Layer, dir string, settings packing.Settings, maxUnpacked int64,
) error {
	var entries int64
	for i, layer := range layers {
		err := cli.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.pack", i)), func(f *os.File) error {
			n, err := settings.Write(f, func(to layerpack.Adder) error {
				return packing.AddLayer(ctx, to, layer.Open, layer.Digest, layer.Size, maxUnpacked)
			})
			entries += n
			return err
		})
		if err != nil {
			return err
		}
	}
	if entries == 0 && !exists(filepath.Join(dir, onBase)) {
		return errors.New("empty image: there is nothing in its layers")
	}
	return nil
}

// moveTo gives the folder temp the name dir, which must be an empty folder or nothing: whoever reads dir sees all of it or
// none.
func moveTo(dir, temp string) error {
	there, err := os.ReadDir(dir)
	switch {
	case len(there) > 0:
		return fmt.Errorf("%s is not empty: it holds %s", dir, there[0].Name())
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := syscall.Rename(temp, dir); err != nil { // os.Rename replaces no folder, be it empty
		return &os.LinkError{Op: "rename", Old: temp, New: dir, Err: err}
	}
	return nil
}
