package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/tempfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/buildcontext"
	"github.com/fledge-build/fledge/tools/fledge/internal/machine"
	"github.com/fledge-build/fledge/tools/fledge/internal/packcache"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
)

// SolveOptions are what a recipe does not say of the solve of a Dockerfile.
type SolveOptions struct {
	Network bool // RUN and ADD may use the network
	NoCache bool // solves anew, and without the results of former solves
	Secrets wire.Secrets
}

// maxMissing is how often a solve may find that it needs further images: a base image with ONBUILD may name another.
const maxMissing = 8

// cacheLimit is how large BuildKit's caches of former solves may be together, in bytes.
const cacheLimit = 10 << 30

// solve makes the image of the recipe's Dockerfile.
func (t *task) solve(ctx context.Context) error {
	files, err := t.context()
	if err != nil {
		return err
	}
	job, err := t.job()
	if err != nil {
		return err
	}
	refs := t.likelyBases()
	for range maxMissing {
		slices.Sort(refs) // the same images are the same solve, in whatever order they were found
		images, digests, err := t.bases(ctx, refs)
		if err != nil {
			return err
		}
		layout, err := t.solveOnce(ctx, job, files, images, digests)
		var failure *solve.Error
		if errors.As(err, &failure) && len(failure.Missing) > 0 {
			if err := t.addMissing(&refs, failure.Missing); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		return t.useLayout(layout)
	}
	return fmt.Errorf("%s: the build names more and more images: %s", t.Recipe.Source.Dockerfile, strings.Join(refs, ", "))
}

// context lists the files of the build. Those that this build writes are none of them.
func (t *task) context() (*mapping.Spec, error) {
	src := t.Recipe.Source
	dir := src.Context
	if dir == "" {
		dir = filepath.Dir(src.Dockerfile)
	}
	return buildcontext.List(buildcontext.Options{Dockerfile: t.path(src.Dockerfile), Dir: t.path(dir), Exclude: t.made()})
}

func (t *task) job() (wire.Job, error) {
	src := t.Recipe.Source
	job := wire.Job{
		Dockerfile: filepath.Base(src.Dockerfile), Target: src.Target, BuildArgs: maps.Clone(src.BuildArgs),
		Arch: t.Arch, Network: t.Solve.Network,
		Secrets: slices.Sorted(maps.Keys(t.Solve.Secrets.Secrets)), SSH: slices.Sorted(maps.Keys(t.Solve.Secrets.SSH)),
	}
	if err := solve.TakeEpoch(&job); err != nil {
		return job, fmt.Errorf("%s: build argument %w", t.Recipe.File, err)
	}
	return job, nil
}

// likelyBases are the locked images whose names the Dockerfile or a build argument has. The solve itself tells of those that
// it misses, after the machine was started for nothing; an image too many is only pulled for nothing.
func (t *task) likelyBases() (refs []string) {
	text, err := os.ReadFile(t.path(t.Recipe.Source.Dockerfile))
	if err != nil {
		return nil // the solve says what is wrong with it
	}
	named := map[string]bool{}
	for _, s := range append(slices.Collect(maps.Values(t.Recipe.Source.BuildArgs)), string(text)) {
		for _, word := range imageWord.FindAllString(s, -1) {
			named[word] = true
		}
	}
	for _, im := range t.pins.lock.Images {
		ref, ok := strings.CutPrefix(im.Reference, "docker://")
		name, _, _ := strings.Cut(path.Base(ref), ":")
		name, _, _ = strings.Cut(name, "@")
		if ok && named[name] {
			refs = append(refs, ref)
		}
	}
	return refs
}

// imageWord is what can be the last part of an image's name.
var imageWord = regexp.MustCompile(`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`)

// addMissing adds the images that a solve missed.
func (t *task) addMissing(refs *[]string, missing []string) error {
	for _, ref := range missing {
		if slices.Contains(*refs, ref) {
			return fmt.Errorf("%s: BuildKit does not take %s for the image of that name", t.Recipe.Source.Dockerfile, ref)
		}
		*refs = append(*refs, ref)
	}
	return nil
}

// bases gets the images that the Dockerfile may name.
func (t *task) bases(ctx context.Context, refs []string) (images []solve.BaseImage, digests []string, err error) {
	for _, name := range refs {
		ref, err := pull.ParseReference("docker://"+name, "")
		if err != nil {
			return nil, nil, fmt.Errorf("%s: FROM %s: %w", t.Recipe.Source.Dockerfile, name, err)
		}
		im, err := t.pull(ctx, ref)
		if err != nil {
			return nil, nil, err
		}
		base := solve.BaseImage{Refs: []string{name}, Config: im.ConfigFile}
		for _, l := range im.Layers {
			base.Layers = append(base.Layers, solve.Layer{File: l.File, Digest: l.Digest, MediaType: l.MediaType})
		}
		images, digests = append(images, base), append(digests, name+" "+im.Digest)
	}
	return images, digests, nil
}

// solveOnce gives the layout of the image: of a former solve of the same, or a new one.
func (t *task) solveOnce(
	ctx context.Context, job wire.Job, files *mapping.Spec, images []solve.BaseImage, digests []string,
) (layout string, err error) {
	key, err := t.solveKey(ctx, job, files, digests)
	if err != nil {
		return "", err
	}
	solved := filepath.Join(t.Cache, "solved")
	layout = filepath.Join(solved, key)
	name := t.Recipe.Source.Dockerfile
	if !t.Solve.NoCache && t.solved(layout) {
		t.UI.Step("solve %s", name).Done("nothing changed since it was solved")
		return layout, nil
	}
	if err := os.MkdirAll(solved, 0o755); err != nil {
		return "", err
	}
	fresh, err := tempfile.MakeFolder(layout)
	if err != nil {
		return "", err
	}
	defer fresh.Remove()
	o := solve.Options{Job: job, Images: images, Files: files, Secrets: t.Solve.Secrets}
	m := t.Machine
	m.Arch, m.Network, m.Cache = t.Arch, job.Network, t.Cache
	solver, err := machine.Prepare(ctx, m)
	if err != nil {
		return "", err
	}
	o.Machine, o.Program = solver.Machine, solver.Program
	if o.Program == nil && !t.Solve.NoCache { // a daemon has its own
		recipe, err := filepath.Abs(t.path(name))
		if err != nil {
			return "", err
		}
		o.Cache = &solve.Cache{Dir: filepath.Join(t.Cache, "buildkit"), Key: recipe, Limit: cacheLimit}
	}
	step := t.UI.Step("solve %s", name)
	defer step.End()
	show, done := t.UI.Events()
	o.Event = show
	res, err := solve.Solve(ctx, filepath.Join(fresh.Path, "layout"), o)
	done()
	if err != nil {
		return "", err
	}
	step.Done("%s", res.Digest)
	return layout, t.place(filepath.Join(fresh.Path, "layout"), layout)
}

// solved tells whether the layout is there, and whole as far as sizes tell. Its layers are verified when they are packed.
func (t *task) solved(layout string) bool {
	im, err := ocilayout.Open(layout, t.platform())
	return err == nil && im.Close() == nil
}

// place gives the layout of a solve its place. Another process may have put its own there meanwhile: that one stays, unless
// it is to be solved anew.
func (t *task) place(fresh, layout string) error {
	if err := tempfile.Sync(fresh); err != nil { // only sizes are looked at when it is taken from there
		return err
	}
	if t.Solve.NoCache || !t.solved(layout) {
		if err := os.RemoveAll(layout); err != nil {
			return err
		}
	}
	err := os.Rename(fresh, layout)
	if err != nil && t.solved(layout) {
		return nil
	}
	return err
}

// solveKey stands for all that the result of a solve depends on.
func (t *task) solveKey(ctx context.Context, job wire.Job, files *mapping.Spec, digests []string) (string, error) {
	context, err := packcache.Key(func(to layerpack.Adder) error { return files.Pack(ctx, to) })
	if err != nil {
		return "", err
	}
	raw, err := job.Encode()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n", t.Program, context, raw, strings.Join(digests, "\n"))
	return hex.EncodeToString(h.Sum(nil)), nil
}

// useLayout takes the image of a solve.
func (t *task) useLayout(layout string) error {
	im, err := ocilayout.Open(layout, t.platform())
	if err != nil {
		return err
	}
	t.closers = append(t.closers, im.Close)
	_, config := im.Config()
	t.image = &image{name: t.Recipe.Source.Dockerfile, config: config}
	for _, l := range im.Layers() {
		t.image.layers = append(t.image.layers, layer{l.Digest, l.Size, l.Open})
	}
	return nil
}
