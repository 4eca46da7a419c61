// Package migrate turns a fledge.toml into the Bazel targets that build the same bytes: rules for a BUILD.bazel and tags of
// Fledge's module extension for a MODULE.bazel. What the recipe has on this machine becomes labels; what the rules would
// do otherwise, such as the modes of files, is written out.
package migrate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/agent/modulefile"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/internal/tomlread"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/naming"
)

// Options say what to migrate.
type Options struct {
	Recipe   *recipe.Recipe
	Manifest string // the manifest.toml, a file
	Lock     *lockfile.Lock
	LockFile string // where Lock is from, for errors
}

// Plan is what Bazel needs.
type Plan struct {
	Name    string // of the image, as fledge build names it
	Target  string // that makes it; its last element is Name
	rules   []rule // in the order of the file
	images  []modulefile.Image
	agent   *modulefile.Agent
	busybox *modulefile.Busybox
}

// planner makes a plan, and collects what is in its way.
type planner struct {
	Options
	*Plan
	dir  string // of the recipe, absolute: the Bazel package
	errs []error
}

// New makes the plan. All that is in its way is told in one error, a line each.
func New(o Options) (*Plan, error) {
	dir, err := filepath.Abs(o.Recipe.Dir)
	if err != nil {
		return nil, err
	}
	p := &planner{Options: o, Plan: &Plan{}, dir: dir}
	manifest := p.readManifest()
	r := rule{kind: "fledge_rootfs", name: p.Target}
	if o.Recipe.Strategy == recipe.Initramfs {
		r.kind = "fledge_initramfs"
	}
	r.setText("manifest", manifest)
	p.addImage(&r)
	p.addAgent(&r)
	p.addFilesystem(&r)
	p.addInit(&r)
	p.addKernel(&r)
	p.addMappings(&r)
	p.rules = append(p.rules, r)
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return p.Plan, nil
}

// errorf notes an error about a part of the recipe.
func (p *planner) errorf(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %w", p.Recipe.File, fmt.Errorf(format, args...)))
}

// readManifest gives the label of manifest.toml, and names the plan.
func (p *planner) readManifest() (label string) {
	raw, err := tomlread.ReadFile(p.Manifest, manifest.MaxTOML)
	name := manifest.Name(raw)
	names := naming.Of(name, p.dir)
	if image := p.Recipe.Source.Image; image != "" && p.Recipe.Strategy == recipe.OCIRootfs {
		names = naming.OfImage(image)
	}
	p.Name, p.Target = names.Image, names.Image
	if _, err := os.Lstat(filepath.Join(p.dir, p.Name)); err == nil {
		p.Target = "image/" + p.Name // ":NAME" is to be the file or folder, and outputs go by the last element
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.errorf("there is no %s, and the rules need it: write one with name = %q and version = \"1.0.0\"", p.Manifest, names.Manifest)
		return ""
	case err != nil:
		p.errs = append(p.errs, err)
		return ""
	case name == "":
		p.errs = append(p.errs, fmt.Errorf("%s: it has no name, and the rules need it: add name = %q", p.Manifest, names.Manifest))
	}
	abs, err := filepath.Abs(p.Manifest)
	if err != nil {
		p.errs = append(p.errs, err)
		return ""
	}
	rel, _ := p.inside("manifest", abs)
	return fileLabel(rel)
}

func (p *planner) addFilesystem(r *rule) {
	f, absent := p.Recipe.Filesystem, recipe.DefaultFilesystem()
	if p.Recipe.Strategy != recipe.OCIRootfs {
		return
	}
	if f.Type != absent.Type {
		r.setText("filesystem", f.Type)
	} else if f.CompressionLevel != absent.CompressionLevel {
		r.setInt("compression_level", f.CompressionLevel)
	}
	if f.OverlaySize != absent.OverlaySize {
		r.setText("overlay_size", f.OverlaySize)
	}
	if f.SizeBufferMB > 0 {
		r.setInt("size_buffer_mb", f.SizeBufferMB)
	}
	r.setTrue("preallocate", f.Preallocate)
	r.setTrue("journal", f.Journal)
	r.setTrue("verity", f.Verity)
	if f.VerityRootHash == recipe.HashCmdline {
		r.setText("verity_root_hash", f.VerityRootHash)
	}
}

func (p *planner) addInit(r *rule) {
	r.setText("init", p.Recipe.Init.Path)
	if p.Recipe.Init.None {
		r.setText("init", "none")
	}
}

// addKernel declares a kernel of the modules and the configuration.
func (p *planner) addKernel(r *rule) {
	if p.Recipe.Kernel == (recipe.Kernel{}) {
		return
	}
	kernel := rule{kind: "fledge_kernel", name: p.Target + "-kernel"}
	p.addConfig(&kernel)
	p.addModules(&kernel)
	p.rules = append(p.rules, kernel)
	r.setText("kernel", ":"+kernel.name)
}

func (p *planner) addConfig(kernel *rule) {
	file := p.Recipe.Kernel.Config
	if file == "" {
		return
	}
	rel, ok := p.inside("kernel.config", file)
	if !ok {
		return
	}
	if info, err := os.Stat(filepath.Join(p.dir, rel)); err != nil || info.IsDir() {
		p.errorf("kernel.config: %s is not a file: name the .config of the kernel", rel)
	}
	kernel.setText("config", fileLabel(rel))
}

func (p *planner) addModules(kernel *rule) {
	dir := p.Recipe.Kernel.Modules
	if dir == "" {
		return
	}
	rel, ok := p.inside("kernel.modules", dir)
	if !ok {
		return
	}
	if _, err := os.Stat(filepath.Join(p.dir, rel, "modules.builtin")); err != nil {
		p.errorf("kernel.modules: %s has no modules.builtin: Bazel takes the files of lib/modules/RELEASE; unpack it if it is a tar", rel)
		return
	}
	var exclude []string
	for _, link := range []string{"build", "source"} { // lead to the sources of the kernel
		if _, err := os.Lstat(filepath.Join(p.dir, rel, link)); err == nil {
			exclude = append(exclude, rel+"/"+link+"/**")
		}
	}
	kernel.set("modules", glob([]string{rel + "/**"}, exclude))
}
