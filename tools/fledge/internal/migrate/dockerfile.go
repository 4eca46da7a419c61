package migrate

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"

	"github.com/fledge-build/fledge/tools/fledge/internal/buildcontext"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
)

// context are the files of a build context.
type context struct {
	dir   string            // relative to the package
	files []string          // relative to dir
	modes map[string]string // of those with an x bit
}

// addDockerfile sets the attributes of a Dockerfile; where those of the image's rule are not enough, it declares the
// fledge_dockerfile that the rule would.
func (p *planner) addDockerfile(r *rule) {
	src := p.Recipe.Source
	dockerfile, ok := p.inside("source.dockerfile", src.Dockerfile)
	if !ok {
		return
	}
	text, err := os.ReadFile(filepath.Join(p.dir, dockerfile))
	if err != nil {
		p.errorf("source.dockerfile: %w", err)
		return
	}
	c, ok := p.context(dockerfile)
	if !ok {
		return
	}
	to := r
	own := rule{kind: "fledge_dockerfile", name: r.name + ".oci"}
	if c.dir != "." || len(c.modes) > 0 {
		to = &own
	}
	if c.dir == "." {
		to.set("context", p.patterns(c))
	} else {
		to.setTexts("context_mappings", p.contextMappings(c))
	}
	to.setText("dockerfile", fileLabel(dockerfile))
	to.setTexts("base_images", p.bases(text))
	to.setText("target", src.Target)
	to.setTexts("build_args", src.BuildArgs)
	if to == &own {
		to.setTexts("modes", c.modes)
		p.rules = append(p.rules, own)
		r.setText("image", ":"+own.name)
	}
}

// context lists the files that a build with this recipe would take.
func (p *planner) context(dockerfile string) (*context, bool) {
	dir, ok := p.inside("source.context", p.Recipe.Source.Context)
	if !ok {
		return nil, false
	}
	root := filepath.Join(p.dir, dir)
	file := filepath.Join(p.dir, dockerfile)
	spec, err := buildcontext.List(buildcontext.Options{Dockerfile: file, Dir: root, Exclude: p.made()})
	if err != nil {
		p.errorf("%w", err)
		return nil, false
	}
	c := &context{dir: dir, modes: map[string]string{}}
	ignore := false
	for _, m := range spec.Mappings {
		rel, ok := strings.CutPrefix(m.Dest, "context/")
		if !ok {
			ignore = ignore || m.Src == file+".dockerignore"
			continue
		}
		c.files = append(c.files, rel)
		p.nameable("source.context", rel)
		if info, err := os.Stat(m.Src); err == nil && info.Mode()&0o111 != 0 {
			c.modes[rel] = "0755"
		}
	}
	if own, err := filepath.Rel(root, file+".dockerignore"); ignore && (err != nil || !slices.Contains(c.files, filepath.ToSlash(own))) {
		p.errorf("source.dockerfile: Bazel takes %s.dockerignore from the context alone, and it is not in it: call it %s",
			dockerfile, path.Join(dir, ".dockerignore"))
	}
	return c, p.ownPackage(c)
}

// made are the files of the folder that Fledge and Bazel make.
func (p *planner) made() []string {
	names := []string{lockfile.Name, p.Name + ".img", p.Name + ".verity.json", p.Name + ".initramfs.cpio.gz", p.Name + ".cpio.gz", p.Name + ".manifest.json",
		strings.TrimSuffix(p.Name, "-rootfs") + ".manifest.json", "BUILD.bazel", "BUILD", "MODULE.bazel", "MODULE.bazel.lock"}
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join(p.dir, name))
	}
	links, _ := filepath.Glob(filepath.Join(p.dir, "bazel-*")) // the pattern is good
	for _, link := range links {
		if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink != 0 {
			files = append(files, link)
		}
	}
	return files
}

// folders are those that files lie in, without the top.
func (c *context) folders() map[string]bool {
	all := map[string]bool{}
	for _, f := range c.files {
		for dir := path.Dir(f); dir != "."; dir = path.Dir(dir) {
			all[dir] = true
		}
	}
	return all
}

// ownPackage tells whether all files of a context are in the recipe's Bazel package.
func (p *planner) ownPackage(c *context) bool {
	ok := true
	for _, dir := range slices.Sorted(maps.Keys(c.folders())) {
		dir = path.Join(c.dir, dir)
		if build := buildFile(filepath.Join(p.dir, dir)); build != "" {
			p.errorf("source.context: %s is a Bazel package of its own, for it has a %s: move that away, or name %s in .dockerignore",
				dir, build, dir)
			ok = false
		}
	}
	return ok
}

// patterns gives the attribute context: files at the top by name, so that what Bazel and Fledge make there is none of it,
// and folders whole, without those that .dockerignore leaves nothing of.
func (p *planner) patterns(c *context) build.Expr {
	var names, globs []string
	for _, f := range c.files {
		top, _, below := strings.Cut(f, "/")
		switch {
		case !below:
			names = append(names, fileLabel(f))
		case !slices.Contains(globs, top+"/**"):
			globs = append(globs, top+"/**")
		}
	}
	folders := c.folders()
	var exclude []string
	var walk func(dir string)
	walk = func(dir string) {
		list, _ := os.ReadDir(filepath.Join(p.dir, dir)) // listed before
		for _, e := range list {
			sub := dir + "/" + e.Name()
			switch {
			case !e.IsDir():
			case folders[sub]:
				walk(sub)
			default:
				exclude = append(exclude, sub+"/**")
			}
		}
	}
	for _, g := range globs {
		walk(strings.TrimSuffix(g, "/**"))
	}
	return files(names, globs, exclude)
}

// contextMappings puts the files of a folder at the top of the context.
func (p *planner) contextMappings(c *context) map[string]string {
	if len(c.files) > 1 {
		return map[string]string{p.fileGroup(c.dir): ""}
	}
	all := map[string]string{}
	for _, f := range c.files {
		all[fileLabel(c.dir+"/"+f)] = f
	}
	return all
}
