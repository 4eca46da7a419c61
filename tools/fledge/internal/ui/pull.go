package ui

import (
	"context"
	"maps"
	"slices"

	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
)

// Pull gets an image as pull.Client does, with a step for each blob that is not there already.
func (u *UI) Pull(
	ctx context.Context, client *pull.Client, ref pull.Reference, digest, platform string,
) (*pull.Image, error) {
	steps := newPullSteps(u, ref.String())
	client.Progress = steps.progress
	im, err := client.Pull(ctx, ref, digest, platform)
	steps.end(err)
	return im, err
}

// Short is the begin of a digest, for people.
func Short(digest string) string {
	const digits = len("sha256:") + 12
	if len(digest) <= digits {
		return digest
	}
	return digest[:digits]
}

// pullSteps show the blobs of an image that are on their way.
type pullSteps struct {
	u     *UI
	image string
	steps map[string]*Step         // by the digest of the blob
	last  map[string]pull.Progress // what was told of it last
}

func newPullSteps(u *UI, image string) *pullSteps {
	return &pullSteps{u, image, map[string]*Step{}, map[string]pull.Progress{}}
}

// progress implements pull.Client's Progress, which is never called twice at once.
func (b *pullSteps) progress(p pull.Progress) {
	if p.Cached {
		return
	}
	step := b.steps[p.Digest]
	if step == nil {
		step = b.u.Step("pull %s %s", b.image, Short(p.Digest))
		b.steps[p.Digest] = step
	}
	step.Progress(p.Done, max(0, p.Total))
	b.last[p.Digest] = p
}

// end ends the steps.
func (b *pullSteps) end(err error) {
	for _, digest := range slices.Sorted(maps.Keys(b.steps)) {
		step, last := b.steps[digest], b.last[digest]
		switch {
		case err != nil:
			step.End()
		case last.Resumed:
			step.Done("%s, resumed", Size(last.Done))
		default:
			step.Done("%s", Size(last.Done))
		}
	}
}
