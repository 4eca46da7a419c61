// Package build builds an image as a recipe says: what Bazel's actions do one by one, in one process. The steps, their
// inputs and their order are those of the rules fledge_rootfs and fledge_initramfs, and so are the bytes.
package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/internal/tempfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/fetch"
	"github.com/fledge-build/fledge/tools/fledge/internal/machine"
	"github.com/fledge-build/fledge/tools/fledge/internal/packcache"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// Options say what to build, of what and where.
type Options struct {
	Recipe       *recipe.Recipe
	ManifestFile string // as errors call it; "" when there is none and Manifest is made up
	Manifest     []byte // manifest.toml
	Arch         string // of the guest: amd64 or arm64
	Dir, Name    string // the outputs: DIR/NAME.img and so on
	ManifestName string // of manifest.json, without .manifest.json
	LockFile     string
	Locked       bool // what is not in the lock, or is another, is an error
	LintWarns    bool // programs of an initramfs that cannot run are warnings
	Compat       string
	Solve        SolveOptions

	Cache   string // folder
	Program string // stands for the code that builds, for what is kept between builds
	Payload *payload.Payload
	Pull    *pull.Client
	Fetch   *fetch.Client
	Machine machine.Options
	UI      *ui.UI
}

// Artifact is a file that a build made.
type Artifact struct {
	Kind   string `json:"kind"` // rootfs, verity, initramfs or manifest
	Path   string `json:"path"`
	Size   int64  `json:"size"`   // in bytes
	Digest string `json:"digest"` // sha256:HEX
}

// Layer is a part of an image, and what is kept of it between builds.
type Layer struct {
	Name     string `json:"name"`             // "layer 1 of 3", "agent", "mappings" …
	Digest   string `json:"digest,omitempty"` // of a layer of the image
	PackSize int64  `json:"pack_size"`        // bytes, compressed
	Cached   bool   `json:"cached"`           // an earlier build had packed it
}

// Result is what a build made. The first artifact is the image.
type Result struct {
	Name      string     `json:"name"`
	Artifacts []Artifact `json:"artifacts"`
	Layers    []Layer    `json:"layers"`
	Files     int        `json:"files"`
	RootHash  string     `json:"root_hash,omitempty"` // of dm-verity, 64 hexadecimal digits
}

// task is a build on its way.
type task struct {
	Options
	settings packing.Settings
	packs    *packcache.Cache
	pins     *pins
	modules  []kmod.Module   // of the kernel that will boot the image
	image    *image          // nil without one
	filler   *machine.Filler // nil unless a machine fills the image
	layers   []Layer
	temp     string // folder of outputs that are not whole
	closers  []func() error
}

// Run builds. All outputs appear, or none, and the lock is written with them.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	t := &task{Options: o}
	defer t.close()
	if t.pins, err = readPins(o.LockFile, o.Locked); err != nil {
		return nil, err
	}
	if t.settings, err = Settings(t.Recipe); err != nil {
		return nil, err
	}
	if err := t.checkInputs(); err != nil {
		return nil, err
	}
	if err := t.prepareFill(ctx); err != nil {
		return nil, err
	}
	if t.packs, err = packcache.Open(t.Cache, t.Program, t.settings); err != nil {
		return nil, err
	}
	if err := t.getImage(ctx); err != nil {
		return nil, err
	}
	remove, err := makeDir(o.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			remove()
		}
	}()
	temp, err := tempfile.MakeFolder(filepath.Join(o.Dir, o.Name))
	if err != nil {
		return nil, cli.About(err, filepath.Join(o.Dir, o.Name))
	}
	defer temp.Remove()
	t.temp = temp.Path
	made, err := t.link(ctx)
	if err != nil {
		return nil, cli.AboutFolder(err, t.temp, o.Dir)
	}
	made.Layers = t.layers
	if err := t.publish(ctx, made); err != nil {
		return nil, err
	}
	return made, nil
}

// makeDir makes a folder and those above it, and gives what removes those that were not there, if they are empty.
func makeDir(dir string) (remove func(), err error) {
	var made []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		made = append(made, at)
	}
	remove = func() {
		for _, at := range made {
			os.Remove(at)
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

func (t *task) close() {
	for _, c := range t.closers {
		c()
	}
}

// blockSize is that of squashfs images and of packs of the writable file systems: the default of the rules.
const blockSize = 128 << 10

// Settings are what the layers of a recipe are packed with.
func Settings(r *recipe.Recipe) (s packing.Settings, err error) {
	if r.Strategy == recipe.Initramfs {
		s.Kind = packing.Initramfs
		s.Codec, err = packing.Codec(s.Kind, "", 0)
		return s, err
	}
	if s.Kind = packing.PackKind(r.Filesystem.Type); s.Kind == packing.Squashfs {
		s.BlockSize = blockSize
	}
	s.Codec, err = packing.Codec(r.Filesystem.Type, "", r.Filesystem.CompressionLevel)
	return s, err
}

// publish writes the lock and gives the outputs their names, once nothing is known to be in the way.
func (t *task) publish(ctx context.Context, r *Result) error {
	for _, a := range r.Artifacts {
		if info, err := os.Lstat(filepath.Join(t.Dir, a.Path)); err == nil && info.IsDir() {
			return fmt.Errorf("the %s: %s is a folder; move it, or choose another name with --output", a.Kind, filepath.Join(t.Dir, a.Path))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.pins.save(); err != nil {
		return err
	}
	if err := t.nameOutputs(r.Artifacts); err != nil {
		return err
	}
	if r.RootHash == "" {
		return removeStale(filepath.Join(t.Dir, t.Name+verityJSON))
	}
	return nil
}

// nameOutputs gives the outputs their names. On an error those of an earlier build are back.
func (t *task) nameOutputs(outputs []Artifact) (err error) {
	var undo []func()
	defer func() {
		if err != nil {
			for _, u := range slices.Backward(undo) {
				u() // as far as it goes
			}
		}
	}()
	for i, a := range outputs {
		to, old := filepath.Join(t.Dir, a.Path), filepath.Join(t.temp, "old."+a.Path)
		back := func() { os.Rename(old, to) }
		if err := os.Link(to, old); errors.Is(err, fs.ErrNotExist) {
			back = func() { os.Remove(to) }
		} // it cannot come back where a file has one name only
		if err := os.Rename(filepath.Join(t.temp, a.Path), to); err != nil {
			return fmt.Errorf("the %s: %w", a.Kind, cli.About(&fs.PathError{Op: "write", Path: to, Err: errors.Unwrap(err)}, to))
		}
		undo = append(undo, back)
		outputs[i].Path = to
	}
	return nil
}

// removeStale removes an output of an earlier build that would speak of this one's.
func removeStale(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("of an earlier build: %w", err)
	}
	return nil
}

// path is a path of the recipe.
func (t *task) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(t.Recipe.Dir, p)
}
