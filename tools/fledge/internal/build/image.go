package build

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// image is what the root file system begins with.
type image struct {
	name   string // for errors
	config *ocilayout.Config
	layers []layer
}

// getImage gets the image of the recipe, if it has one.
func (t *task) getImage(ctx context.Context) error {
	src := t.Recipe.Source
	switch {
	case src.Dockerfile != "":
		return t.solve(ctx)
	case src.Image == "":
		return nil
	}
	ref, err := pull.ParseReference(src.Image, t.Recipe.Dir)
	if err != nil {
		return fmt.Errorf("%s: source.image: %w", t.Recipe.File, err)
	}
	name := ref.String()
	im, err := t.pull(ctx, ref, name)
	if err != nil {
		return err
	}
	t.image = &image{name: name, config: im.Config}
	for _, l := range im.Layers {
		t.image.layers = append(t.image.layers, layer{l.Digest, l.Size, l.Open})
	}
	return nil
}

func isLocal(ref pull.Reference) bool { return ref.Transport != pull.Registry }

// pull gets an image: at the digest that the lock has under its name, or else at the one that it has now, which goes into
// the lock. What is on this machine is always taken as it is now.
func (t *task) pull(ctx context.Context, ref pull.Reference, name string) (*pull.Image, error) {
	digest := t.pins.lock.Image(name)
	if digest == "" || isLocal(ref) {
		var err error
		if digest, err = t.resolve(ctx, ref, name); err != nil {
			return nil, err
		}
		if err := t.pins.setImage(name, digest); err != nil {
			return nil, err
		}
	}
	im, err := Pull(ctx, t.Pull, t.UI, ref, name, digest, t.platform())
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, im.Close)
	return im, nil
}

// Pull gets an image as pull.Client does, and shows its blobs on their way under the image's name.
func Pull(
	ctx context.Context, client *pull.Client, u *ui.UI, ref pull.Reference, name, digest, platform string,
) (*pull.Image, error) {
	bars := newPullBars(u, name)
	client.Progress = bars.progress
	im, err := client.Pull(ctx, ref, digest, platform)
	bars.end(err)
	return im, err
}

func (t *task) platform() string { return "linux/" + t.Arch }

// resolve asks what an image is now.
func (t *task) resolve(ctx context.Context, ref pull.Reference, name string) (string, error) {
	if t.Locked && !isLocal(ref) {
		return "", t.pins.drift(name + " is not in it")
	}
	step := t.UI.Step("resolve %s", name)
	defer step.End()
	digest, err := t.Pull.Resolve(ctx, ref, t.platform())
	if err != nil {
		return "", err
	}
	step.Done("%s", digest)
	return digest, nil
}

// pullBars show the blobs of an image that are on their way.
type pullBars struct {
	ui    *ui.UI
	image string
	steps map[string]*ui.Step      // by the digest of the blob
	last  map[string]pull.Progress // what was told of it last
}

func newPullBars(u *ui.UI, image string) *pullBars {
	return &pullBars{u, image, map[string]*ui.Step{}, map[string]pull.Progress{}}
}

// progress implements pull.Client's Progress, which is never called twice at once.
func (b *pullBars) progress(p pull.Progress) {
	if p.Cached {
		return
	}
	step := b.steps[p.Digest]
	if step == nil {
		step = b.ui.Step("pull %s %s", b.image, short(p.Digest))
		b.steps[p.Digest] = step
	}
	step.Progress(p.Done, max(0, p.Total))
	b.last[p.Digest] = p
}

// end ends the steps.
func (b *pullBars) end(err error) {
	for _, digest := range slices.Sorted(maps.Keys(b.steps)) {
		step, last := b.steps[digest], b.last[digest]
		switch {
		case err != nil:
			step.End()
		case last.Resumed:
			step.Done("%s, resumed", ui.Size(last.Done))
		default:
			step.Done("%s", ui.Size(last.Done))
		}
	}
}
