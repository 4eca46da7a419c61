package build

import (
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/packing"
)

func (t *task) linkRootfs(ctx context.Context, r *Result, o *manifest.Options) error {
	packs, err := t.packRootfs(ctx)
	if err != nil {
		return err
	}
	var stats linking.RootfsStats
	a, err := t.output("rootfs", t.Name+".img", func(file string) (digest string, err error) {
		digest, stats, err = t.writeRootfs(ctx, file, packs)
		return digest, err
	})
	if err != nil {
		return err
	}
	t.warn(stats.Warnings)
	r.Artifacts, r.Files = append(r.Artifacts, a), stats.Files
	o.RootFS = &manifest.File{Name: a.Path, Format: t.Recipe.Filesystem.Type, Checksum: a.Digest}
	return t.writeBootInitramfs(r, o)
}

// packRootfs packs the layers of a root file system: image, agent, mappings.
func (t *task) packRootfs(ctx context.Context) ([]string, error) {
	packs, err := t.packImage(ctx)
	if err != nil {
		return nil, err
	}
	agent, err := t.packAgent(ctx)
	if err != nil {
		return nil, err
	}
	mappings, err := t.packMappings(ctx)
	return append(append(packs, agent), mappings...), err
}

// writeRootfs makes the image in a file. One that the guest writes to has holes where it is free, unless the recipe says
// otherwise.
func (t *task) writeRootfs(ctx context.Context, file string, packs []string) (digest string, stats linking.RootfsStats, err error) {
	f := t.Recipe.Filesystem
	if f.Type == packing.XFS || f.Type == packing.Btrfs {
		return t.fill(ctx, file, packs)
	}
	write := cli.WriteWithDigest
	if packing.Writable(f.Type) && !f.Preallocate {
		write = cli.WriteSparseWithDigest
	}
	digest, err = write(file, "", func(w io.Writer) (err error) {
		stats, err = linking.Rootfs(ctx, w, packs, t.rootfsOptions())
		return err
	})
	return digest, stats, err
}

func (t *task) rootfsOptions() linking.RootfsOptions {
	f := t.Recipe.Filesystem
	return linking.RootfsOptions{
		Filesystem: f.Type, Required: []string{agentPath}, TempDir: t.temp,
		Codec: t.settings.Codec, BlockSize: t.settings.BlockSize,
		SizeBuffer: f.SizeBufferMB, Journal: f.Journal,
	}
}

// fill makes an image of a file system that its own mkfs makes and a machine fills: from an ext4 image of the same files,
// with what solves a Dockerfile.
func (t *task) fill(context.Context, string, []string) (digest string, stats linking.RootfsStats, err error) {
	return "", stats, fmt.Errorf("%s: filesystem.type = %q: this version does not write that yet", t.Recipe.File, t.Recipe.Filesystem.Type)
}

// needs is what the image needs of its kernel.
func (t *task) needs() bootfs.Needs {
	return bootfs.Needs{Filesystem: t.Recipe.Filesystem.Type, Compression: t.settings.Codec.Name, Verity: t.Recipe.Filesystem.Verity}
}

// writeBootInitramfs makes what mounts the image and starts the agent.
func (t *task) writeBootInitramfs(r *Result, o *manifest.Options) error {
	program, err := t.Payload.Program("init-" + t.Arch)
	if err != nil {
		return err
	}
	modules, err := t.modules(t.needs())
	if err != nil {
		return err
	}
	a, err := t.write("initramfs", t.Name+".initramfs.cpio.gz", func(w io.Writer) error {
		return bootfs.Write(w, bootfs.Options{Init: program, OverlaySize: t.Recipe.Filesystem.OverlaySize, Modules: modules})
	})
	if err != nil {
		return err
	}
	r.Artifacts = append(r.Artifacts, a)
	o.Initramfs = &manifest.File{Name: a.Path, Checksum: a.Digest}
	return nil
}
