package build

import (
	"context"
	"io"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/internal/verity"
)

func (t *task) linkRootfs(ctx context.Context, r *Result, o *manifest.Options) error {
	packs, err := t.packRootfs(ctx)
	if err != nil {
		return err
	}
	var made linking.File
	a, err := t.output("rootfs", t.Name+".img", func(file string) (digest string, err error) {
		made, err = t.writeRootfs(ctx, file, packs)
		return made.Digest, err
	})
	if err != nil {
		return err
	}
	t.warn(made.Warnings)
	r.Artifacts, r.Files = append(r.Artifacts, a), made.Files
	o.RootFS = &manifest.File{Name: a.Path, Format: t.Recipe.Filesystem.Type, Checksum: a.Digest, Verity: made.Verity}
	if made.Verity != nil {
		if err := t.writeVerity(r, *made.Verity); err != nil {
			return err
		}
	}
	return t.writeBootInitramfs(r, o)
}

// verityJSON is what the name of the file with the parameters of dm-verity ends with.
const verityJSON = ".verity.json"

// writeVerity makes the file with the parameters of dm-verity.
func (t *task) writeVerity(r *Result, p verity.Params) error {
	a, err := t.write("verity", t.Name+verityJSON, func(w io.Writer) error {
		_, err := w.Write(p.JSON())
		return err
	})
	r.Artifacts, r.RootHash = append(r.Artifacts, a), p.RootHash.String()
	return err
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
func (t *task) writeRootfs(ctx context.Context, file string, packs []string) (linking.File, error) {
	f := t.Recipe.Filesystem
	if t.filler != nil {
		return t.fill(ctx, file, packs)
	}
	return linking.RootfsFile(ctx, file, "", packs, linking.FileOptions{
		RootfsOptions: t.rootfsOptions(), Preallocate: f.Preallocate, Verity: f.Verity,
	})
}

func (t *task) rootfsOptions() linking.RootfsOptions {
	f := t.Recipe.Filesystem
	return linking.RootfsOptions{
		Filesystem: f.Type, Required: []string{agentPath}, TempDir: t.temp,
		Codec: t.settings.Codec, BlockSize: t.settings.BlockSize,
		SizeBuffer: f.SizeBufferMB, Journal: f.Journal,
	}
}

// writeBootInitramfs makes what mounts the image and starts the agent.
func (t *task) writeBootInitramfs(r *Result, o *manifest.Options) error {
	program, err := t.Payload.Program("init-" + t.Arch)
	if err != nil {
		return err
	}
	options := bootfs.Options{Init: program, OverlaySize: t.Recipe.Filesystem.OverlaySize, Verity: r.RootHash, Modules: t.modules}
	if t.Recipe.Filesystem.VerityRootHash == recipe.HashCmdline {
		options.Verity = bootconf.VerityCmdline
	}
	a, err := t.write("initramfs", t.Name+".initramfs.cpio.gz", func(w io.Writer) error { return bootfs.Write(w, options) })
	if err != nil {
		return err
	}
	r.Artifacts = append(r.Artifacts, a)
	o.Initramfs = &manifest.File{Name: a.Path, Checksum: a.Digest}
	return nil
}
