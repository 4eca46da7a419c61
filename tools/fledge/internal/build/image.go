package build

import (
	"context"
	"fmt"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
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
	im, err := t.pull(ctx, ref)
	if err != nil {
		return err
	}
	t.image = &image{name: ref.String(), config: im.Config}
	for _, l := range im.Layers {
		t.image.layers = append(t.image.layers, layer{l.Digest, l.Size, l.Open})
	}
	return nil
}

func isLocal(ref pull.Reference) bool { return ref.Transport != pull.Registry }

// pull gets an image: at the digest that the lock has, or else at the one that it has now, which goes into the lock. What
// is on this machine is always taken as it is now.
func (t *task) pull(ctx context.Context, ref pull.Reference) (*pull.Image, error) {
	digest := t.pins.lock.Image(ref.String())
	if digest == "" || isLocal(ref) {
		var err error
		if digest, err = t.resolve(ctx, ref); err != nil {
			return nil, err
		}
		if err := t.pins.setImage(ref.String(), digest); err != nil {
			return nil, err
		}
	}
	im, err := t.UI.Pull(ctx, t.Pull, ref, digest, t.platform())
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, im.Close)
	return im, nil
}

func (t *task) platform() string { return "linux/" + t.Arch }

// resolve asks what an image is now.
func (t *task) resolve(ctx context.Context, ref pull.Reference) (string, error) {
	if t.Locked && !isLocal(ref) {
		return "", t.pins.drift(ref.String() + " is not in it")
	}
	step := t.UI.Step("resolve %s", ref)
	defer step.End()
	digest, err := t.Pull.Resolve(ctx, ref, t.platform())
	if err != nil {
		return "", err
	}
	step.Done("%s", digest)
	return digest, nil
}
