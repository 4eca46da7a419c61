package build

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/recipe"
)

// checkInputs finds what is wrong with the project's files before images are fetched and Dockerfiles solved, which takes
// minutes.
func (t *task) checkInputs() error {
	if a := t.Recipe.Agent; a != nil && a.Strategy == recipe.Local {
		if err := agent.CheckFile(t.path(a.Path), t.Arch); err != nil {
			return fmt.Errorf("%s: the agent: %w; build for another with --arch, or name another agent", t.Recipe.File, err)
		}
	}
	spec, err := t.mappings()
	if err != nil {
		return err
	}
	if _, err := spec.Files(); err != nil {
		return fmt.Errorf("%s: mappings: %w", t.Recipe.File, err)
	}
	if err := t.checkManifest(); err != nil {
		return err
	}
	return t.takeModules()
}

// takeModules takes those of the recipe's kernel that the image needs.
func (t *task) takeModules() (err error) {
	var k bootfs.Kernel
	if t.Recipe.Kernel.Modules != "" {
		k.Modules = t.path(t.Recipe.Kernel.Modules)
	}
	if t.Recipe.Kernel.Config != "" {
		k.Config = t.path(t.Recipe.Kernel.Config)
	}
	f := t.Recipe.Filesystem // empty for an initramfs
	needs := bootfs.Needs{Filesystem: f.Type, Compression: t.settings.Codec.Name, Verity: f.Verity}
	if t.modules, err = k.Bundle(needs.SelectModules, needs.CheckConfig); err != nil {
		return fmt.Errorf("%s: [kernel]: %w", t.Recipe.File, err)
	}
	return nil
}

// checkManifest reads manifest.toml as if the image said all that it can say: what is wrong then is wrong with any image.
func (t *task) checkManifest() error {
	o := manifest.Options{Compat: t.Compat, Initramfs: &manifest.File{Name: t.Name + ".cpio.gz"}}
	if src := t.Recipe.Source; src.Image != "" || src.Dockerfile != "" {
		o.Config = &ocilayout.Config{Config: ocilayout.Execution{
			Entrypoint: []string{"/program"}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
		}}
	}
	_, err := t.manifest(o)
	return err
}

// mappings are those of the recipe.
func (t *task) mappings() (*mapping.Spec, error) {
	spec := &mapping.Spec{}
	for _, m := range t.Recipe.Mappings {
		src := t.path(m.Source)
		info, err := os.Stat(src)
		if err != nil {
			return nil, fmt.Errorf("%s: mappings: %w", t.Recipe.File, err)
		}
		if info.IsDir() {
			if err := t.checkFolder(src); err != nil {
				return nil, fmt.Errorf("%s: mappings: %q: %w", t.Recipe.File, m.Source, err)
			}
		}
		dest := m.Dest
		if strings.HasSuffix(dest, "/") && !info.IsDir() {
			dest = path.Join(dest, filepath.Base(src))
		}
		dest = strings.Trim(dest, "/")
		if dest == "" {
			dest = "."
		}
		spec.Mappings = append(spec.Mappings, mapping.Mapping{Src: src, Dest: dest})
	}
	return spec, nil
}

// checkFolder refuses to map a folder that the build writes to: each image would have the one before in it.
func (t *task) checkFolder(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for _, made := range t.made() {
		at, err := filepath.Abs(made)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(abs, at); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("the build makes %s in it; move what is mapped into a folder of its own", rel)
		}
	}
	return nil
}

// made are the files and folders that a build makes.
func (t *task) made() []string {
	files := []string{t.LockFile, t.Cache, filepath.Join(t.Dir, t.ManifestName+".manifest.json")}
	for _, suffix := range []string{".img", verityJSON, ".initramfs.cpio.gz", ".cpio.gz"} {
		files = append(files, filepath.Join(t.Dir, t.Name+suffix))
	}
	return files
}
