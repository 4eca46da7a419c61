// Package kmod picks kernel modules out of a kernel's lib/modules/RELEASE: the wanted ones with everything they need,
// in the order to load them, unpacked.
//
// Dependencies come from the modules themselves (the "depends" entries of their .modinfo section, see modpost in the
// kernel's sources), not from modules.dep: that file is made by depmod when a kernel is installed, and packages lack
// it. Soft dependencies are not followed: most name helpers that a module does without, and names of algorithms among
// them (crypto-crc32c) lead to modules only by an index that is depmod's, too. Who needs one of these asks for it.
package kmod

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Tree is the modules of one kernel.
type Tree struct {
	release string
	files   map[string]string // module name → path of its file
	builtin map[string]bool
	read    func(path string) ([]byte, error)
	close   func() error
}

// Module is one module, ready to load.
type Module struct {
	Name string // as in /proc/modules: with "_" only
	Data []byte // the ELF file, not compressed, with its signature if it has one
	Arch string // as GOARCH names it, or the ELF machine's own name
}

// Release is the kernel's release, for example "6.1.0-56-cloud-amd64".
func (t *Tree) Release() string { return t.release }

// Close frees what Open opened.
func (t *Tree) Close() error { return t.close() }

// Has tells whether the kernel has the module, as a file or built in.
func (t *Tree) Has(name string) bool {
	name = normalize(name)
	return t.builtin[name] || t.files[name] != ""
}

// HasFile tells whether the kernel has the module as a file.
func (t *Tree) HasFile(name string) bool { return t.files[normalize(name)] != "" }

// Resolve returns the wanted modules and all that they depend on, each once and after its dependencies, otherwise in
// the order of wanted. Modules that are built in are left out. A module the kernel does not have is an error.
func (t *Tree) Resolve(wanted []string) ([]Module, error) {
	r := resolver{tree: t, state: map[string]int{}}
	for _, name := range wanted {
		if err := r.add(normalize(name), nil); err != nil {
			return nil, err
		}
	}
	return r.out, nil
}

const (
	visiting = 1
	done     = 2
)

type resolver struct {
	tree  *Tree
	state map[string]int
	out   []Module
}

// add appends the module and its dependencies; chain is who wanted it, outermost first.
func (r *resolver) add(name string, chain []string) error {
	file, isFile := r.tree.files[name]
	switch {
	case r.state[name] == done:
		return nil
	case r.state[name] == visiting:
		return fmt.Errorf("kernel %s: modules depend on each other in a circle: %s",
			r.tree.release, strings.Join(append(chain, name), " → "))
	case !isFile && r.tree.builtin[name]:
		return nil
	case !isFile:
		return r.tree.missing(name, chain)
	}
	r.state[name] = visiting
	data, err := r.tree.read(file)
	if err != nil {
		return fmt.Errorf("kernel %s: module %s: %w", r.tree.release, file, err)
	}
	info, err := parseModinfo(data)
	if err != nil {
		return fmt.Errorf("kernel %s: module %s: %w", r.tree.release, file, err)
	}
	for _, dep := range info.depends {
		if err := r.add(normalize(dep), append(slices.Clip(chain), name)); err != nil {
			return err
		}
	}
	r.state[name] = done
	r.out = append(r.out, Module{Name: name, Data: data, Arch: info.arch})
	return nil
}

func (t *Tree) missing(name string, chain []string) error {
	why := ""
	if len(chain) > 0 {
		why = fmt.Sprintf(", which %s depends on", strings.Join(chain, " → "))
	}
	return fmt.Errorf("kernel %s has no module %s%s, neither as one of its %d files nor built in (modules.builtin)",
		t.release, name, why, len(t.files))
}

// normalize turns a module's file name or alternative spelling into its name.
func normalize(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleName is the name of the module in a file, or "" when the file is no module.
func moduleName(file string) string {
	base := path.Base(file)
	for _, suffix := range moduleSuffixes {
		if name, ok := strings.CutSuffix(base, suffix); ok {
			return normalize(name)
		}
	}
	return ""
}

var moduleSuffixes = []string{".ko", ".ko.gz", ".ko.xz", ".ko.zst"}
