package build

import (
	"context"
	"fmt"

	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
)

// Change is something that the lock pins.
type Change struct {
	What string `json:"what"`           // reference of an image, source of an agent, URL of busybox
	Arch string `json:"arch,omitempty"` // of an agent
	Was  string `json:"was,omitempty"`  // "" when it was not in the lock
	Now  string `json:"now"`
}

// Update pins anew what the recipe names: its image, or the images in the lock that its Dockerfile names; the agent; and
// busybox. It builds nothing. What other recipes have in the lock stays.
func Update(ctx context.Context, o Options) ([]Change, error) {
	t := &task{Options: o}
	defer t.close()
	var err error
	if t.pins, err = readPins(o.LockFile, false); err != nil {
		return nil, err
	}
	images, err := t.updateImages(ctx)
	if err != nil {
		return nil, err
	}
	programs, err := t.updatePrograms(ctx)
	if err != nil {
		return nil, err
	}
	return append(append([]Change{}, images...), programs...), t.pins.save() // never nil: JSON has a list
}

func (t *task) updateImages(ctx context.Context) (changes []Change, err error) {
	src := t.Recipe.Source
	var names []string
	switch {
	case src.Image != "":
		names = []string{src.Image}
	case src.Dockerfile != "":
		names = t.likelyBases()
		if len(names) == 0 {
			t.UI.Note(fmt.Sprintf("%s: none of its images is in the lock; a build finds out which it names", src.Dockerfile))
		}
	}
	for _, name := range names {
		ref, err := pull.ParseReference(name, t.Recipe.Dir)
		if err != nil {
			return nil, fmt.Errorf("%s: source.image: %w", t.Recipe.File, err)
		}
		name := ref.String()
		digest, err := t.resolve(ctx, ref)
		if err != nil {
			return nil, err
		}
		was := t.pins.lock.Image(name)
		changes = append(changes, Change{What: name, Was: was, Now: digest})
		if err := t.pins.setImage(name, digest); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

func (t *task) updatePrograms(ctx context.Context) (changes []Change, err error) {
	r := t.Recipe
	if r.Agent != nil && r.Agent.Strategy != recipe.Local && r.Agent.Checksum == "" {
		if changes, err = t.updateAgent(ctx); err != nil {
			return nil, err
		}
	}
	if r.Strategy == recipe.Initramfs && r.Source.BusyboxURL != "" && r.Source.BusyboxSHA256 == "" {
		change, err := t.updateBusybox(ctx)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}
