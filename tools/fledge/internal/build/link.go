package build

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/initramfs"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// link makes the outputs in the temporary folder.
func (t *task) link(ctx context.Context) (*Result, error) {
	o := manifest.Options{Compat: t.Compat}
	if t.image != nil {
		if err := t.image.config.CheckPlatform(t.Arch); err != nil {
			return nil, fmt.Errorf("%s: %w", t.image.name, err)
		}
		o.Config, o.ConfigFile = t.image.config, t.image.name
	}
	r := &Result{Name: t.Name}
	make := t.linkRootfs
	if t.Recipe.Strategy == recipe.Initramfs {
		make = t.linkInitramfs
	}
	if err := make(ctx, r, &o); err != nil {
		return nil, err
	}
	return r, t.writeManifest(r, o)
}

func (t *task) linkInitramfs(ctx context.Context, r *Result, o *manifest.Options) error {
	layers, required, err := t.initramfsLayers(ctx)
	if err != nil {
		return err
	}
	var stats initramfs.Stats
	a, err := t.write("initramfs", t.Name+".cpio.gz", func(w io.Writer) (err error) {
		stats, err = linking.Initramfs(ctx, w, layers, linking.InitramfsOptions{
			Codec: t.settings.Codec, Required: []string{required}, Arch: t.Arch,
			LintWarns: t.LintWarns, LintRemedy: "build with --lint warning", Warn: t.UI.Warn,
		})
		return err
	})
	if err != nil {
		return err
	}
	t.warn(linking.InitramfsWarnings(stats))
	r.Artifacts, r.Files = append(r.Artifacts, a), stats.Files
	o.Initramfs, o.Unpacked = &manifest.File{Name: a.Path, Checksum: a.Digest}, stats.Unpacked
	return nil
}

// initramfsLayers packs the layers of an initramfs: image, busybox, init and agent, mappings. required is the program
// that has to be there.
func (t *task) initramfsLayers(ctx context.Context) (layers []linking.Layer, required string, err error) {
	add := func(packs ...string) {
		for _, p := range packs {
			layers = append(layers, linking.Layer{Pack: p})
		}
	}
	image, err := t.packImage(ctx)
	if err != nil {
		return nil, "", err
	}
	add(image...)
	busybox, err := t.packBusybox(ctx)
	if err != nil {
		return nil, "", err
	}
	layers = append(layers, linking.Layer{Pack: busybox, Fill: true})
	required = initPath
	if init := t.Recipe.Init; !init.None {
		required = agentPath
		if init.Path != "" {
			required = init.Path
		}
		pack, err := t.packInit(required)
		if err != nil {
			return nil, "", err
		}
		add(pack)
	}
	if t.Recipe.Agent != nil {
		agent, err := t.packAgent(ctx)
		if err != nil {
			return nil, "", err
		}
		add(agent)
	}
	mappings, err := t.packMappings(ctx)
	add(mappings...)
	return layers, required, err
}

// manifest is that of the image.
func (t *task) manifest(o manifest.Options) (*manifest.Manifest, error) {
	m, err := manifest.Generate(cmp.Or(t.ManifestFile, "manifest.toml"), t.Manifest, o)
	if err != nil && t.ManifestFile == "" {
		return nil, fmt.Errorf("%w\nthere is no manifest.toml, and the image's config does not say all that it would; write one beside the recipe, "+
			"or name one with --manifest (docs/manifest.md)", err)
	}
	return m, err
}

func (t *task) writeManifest(r *Result, o manifest.Options) error {
	m, err := t.manifest(o)
	if err != nil {
		return err
	}
	raw, err := m.JSON()
	if err != nil {
		return err
	}
	a, err := t.write("manifest", t.ManifestName+".manifest.json", func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
	r.Artifacts = append(r.Artifacts, a)
	return err
}

// write makes an output in the temporary folder of what write puts out.
func (t *task) write(kind, name string, write func(io.Writer) error) (Artifact, error) {
	return t.output(kind, name, func(file string) (digest string, err error) { return cli.WriteWithDigest(file, "", write) })
}

// output makes an output in the temporary folder: make makes the file, and gives its digest.
func (t *task) output(kind, name string, make func(file string) (digest string, err error)) (a Artifact, err error) {
	step := t.UI.Step("write %s", name)
	defer step.End()
	a = Artifact{Kind: kind, Path: name}
	file := filepath.Join(t.temp, name)
	if a.Digest, err = make(file); err != nil {
		return a, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return a, err
	}
	a.Size = info.Size()
	step.Done("%s, %s", ui.Size(a.Size), a.Digest)
	return a, nil
}

func (t *task) warn(lines []string) {
	for _, line := range lines {
		t.UI.Warn(line)
	}
}
