package build

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/machine"
)

// Filled tells whether the images of a file system are made by its own mkfs and filled in a machine.
func Filled(filesystem string) bool { return filesystem == packing.XFS || filesystem == packing.Btrfs }

// prepareFill makes ready what fills the image, if it is to be filled: before anything is fetched, as it may be missing.
func (t *task) prepareFill(ctx context.Context) error {
	f := t.Recipe.Filesystem.Type
	if !Filled(f) {
		return nil
	}
	m := t.Machine
	m.Arch, m.Cache, m.Network = t.Arch, t.Cache, false
	filler, err := machine.PrepareFill(ctx, m, f)
	if err != nil {
		return fmt.Errorf("%s: filesystem.type = %q: %w", t.Recipe.File, f, err)
	}
	t.filler = &filler
	return nil
}

// fill makes an image that mkfs makes and a machine fills, from an ext4 image of the same files.
func (t *task) fill(ctx context.Context, file string, packs []string) (made linking.File, err error) {
	source := filepath.Join(t.temp, "source.ext4")
	o := t.rootfsOptions()
	o.Filesystem, o.SizeBuffer = packing.Ext4, 1 // nobody writes to it
	if made, err = linking.RootfsFile(ctx, source, "", packs, linking.FileOptions{RootfsOptions: o}); err != nil {
		return made, err
	}
	f := t.Recipe.Filesystem
	step := t.UI.Step("fill %s", f.Type)
	defer step.End()
	write := cli.WriteSparseWithDigest
	if f.Preallocate {
		write = cli.WriteWithDigest
	}
	var stats fill.Stats
	made.Digest, err = write(file, "", func(w io.Writer) (err error) {
		stats, err = fill.Fill(ctx, w, fill.Options{
			Kind: f.Type, Mkfs: t.filler.Mkfs, Source: source, SizeBuffer: f.SizeBufferMB, TempDir: t.temp, Machine: t.filler.Machine,
			Progress: func(_, bytes int64) { step.Progress(bytes, int64(made.Size)) },
		})
		return err
	})
	if err != nil {
		return made, err
	}
	step.Done("%d names", stats.Entries)
	made.Size, made.Warnings = uint64(stats.Size), append(made.Warnings, fill.Warnings(f.Type, stats)...)
	return made, nil
}
