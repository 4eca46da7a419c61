package migrate

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/mapping"
)

// fileLabel is the label of a file of the package.
func fileLabel(rel string) string {
	if strings.HasPrefix(rel, "@") || strings.HasPrefix(rel, "-") {
		return ":" + rel
	}
	return rel
}

// inside gives a path of the recipe relative to the package, with slashes. A path that no label can have is an error.
func (p *planner) inside(what, file string) (rel string, ok bool) {
	abs := file
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(p.dir, file)
	}
	rel, err := filepath.Rel(p.dir, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		p.errorf("%s: %s is not below the folder of the recipe, which becomes the Bazel package: move it there", what, file)
		return "", false
	}
	rel = filepath.ToSlash(rel)
	for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
		if build := buildFile(filepath.Join(p.dir, dir)); build != "" {
			p.errorf("%s: %s is in a Bazel package of its own, for there is %s/%s: move it out, or that away", what, file, dir, build)
			return "", false
		}
	}
	return rel, p.nameable(what, rel)
}

// buildFile is the name of a folder's BUILD file, "" when it has none.
func buildFile(dir string) string {
	for _, name := range []string{"BUILD.bazel", "BUILD"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return name
		}
	}
	return ""
}

// nameable tells whether a label can name a file.
func (p *planner) nameable(what, rel string) bool {
	if strings.ContainsAny(rel, ":\\\"*") || strings.ContainsFunc(rel, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.errorf("%s: Bazel takes no file called %q: rename it", what, rel)
		return false
	}
	return true
}

// fileGroup declares the files of a folder, with which rules put them below a destination as they lie there: for that the
// group has the folder's path as its name.
func (p *planner) fileGroup(rel string) (label string) {
	label = ":" + rel
	for _, r := range p.rules {
		if r.kind == "filegroup" && r.name == rel {
			return label
		}
	}
	r := rule{kind: "filegroup", name: rel}
	r.set("srcs", glob([]string{rel + "/**"}, nil))
	p.rules = append(p.rules, r)
	return label
}

// addMappings maps files and folders to where they go, and sets the modes that the rules would not give them.
func (p *planner) addMappings(r *rule) {
	m := mapped{p, map[string]string{}, map[string]string{}}
	for _, from := range p.Recipe.Mappings {
		what := "mappings: " + from.Source
		rel, ok := p.inside(what, from.Source)
		if !ok {
			continue
		}
		info, err := os.Stat(filepath.Join(p.dir, rel))
		switch {
		case err != nil:
			p.errorf("mappings: %w", err)
		case !info.IsDir():
			m.file(what, rel, from.Dest)
		case rel == ".":
			p.errorf("%s: the folder of the recipe has Bazel's own files too: move what is mapped into a folder of its own", what)
		default:
			m.folder(what, rel, from.Dest)
		}
	}
	r.setTexts("mappings", m.labels)
	r.setTexts("modes", m.modes)
}

// mapped are the attributes of the mappings.
type mapped struct {
	*planner
	labels map[string]string // to destination
	modes  map[string]string // by path in the image
}

func (m *mapped) label(what, label, dest string) {
	if old, ok := m.labels[label]; ok {
		m.errorf("%s: Bazel maps a label to one path, and this one goes to %s and %s: map a copy", what, old, dest)
	}
	m.labels[label] = dest
}

func (m *mapped) file(what, rel, dest string) {
	to := dest
	if strings.HasSuffix(dest, "/") {
		to = dest + path.Base(rel)
	}
	if dest == "/" { // the rules take no root
		dest = to
	}
	m.label(what, fileLabel(rel), dest)
	m.list(what, rel, to)
}

// folder maps a group of the folder's files; or each of them, where one file would lose its folders, and where the
// destination is the root, which the rules do not take.
func (m *mapped) folder(what, rel, dest string) {
	root := strings.TrimSuffix(dest, "/")
	files := m.list(what, rel, dest)
	if len(files) > 1 && root != "" {
		m.label(what, m.fileGroup(rel), dest)
		return
	}
	for _, f := range files {
		m.label(what, fileLabel(rel+"/"+f), root+"/"+f)
	}
}

// list gives the files of a mapping, relative to the destination, as Fledge packs them, and notes their modes.
func (m *mapped) list(what, rel, dest string) (files []string) {
	root := strings.Trim(dest, "/")
	if root == "" {
		root = "."
	}
	abs := filepath.Join(m.dir, rel)
	list, err := (&mapping.Spec{Mappings: []mapping.Mapping{{Src: abs, Dest: root}}}).Files()
	if err != nil {
		m.errorf("%s: %w", what, err)
	}
	for _, f := range list {
		below := strings.TrimPrefix(strings.TrimPrefix(f.Path, root), "/")
		if root == "." {
			below = f.Path
		}
		files = append(files, below)
		name := path.Join(rel, below)
		switch {
		case f.Folder:
			m.errorf("%s: the folder %s is empty, and Bazel has none such: put a file into it, or remove it", what, name)
		case below != "" && (path.Base(name) == "BUILD" || path.Base(name) == "BUILD.bazel"):
			m.errorf("%s: %s makes its folder a Bazel package of its own: rename it", what, name)
		case m.nameable(what, name) && f.Mode != mapping.FileMode(f.Path, false):
			m.modes["/"+f.Path] = fmt.Sprintf("%04o", f.Mode)
		}
	}
	return files
}
