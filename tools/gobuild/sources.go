package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sources are the files of a build, wherever the action has them.
type sources struct {
	goMod       string // go.mod of the module: its folder is the module
	modules     string // vendor/modules.txt: its folder has the packages that the module needs
	parentGoMod string // go.mod of the module around it, or ""
	list        string // file with the paths of all files of the build in these folders, a line each
}

// layOut copies the files to the folder dir as the go command wants a module that has its dependencies with it. It
// copies, as the action may have symbolic links, which the go command does not embed.
func (s *sources) layOut(dir string) error {
	list, err := os.ReadFile(s.list)
	if err != nil {
		return err
	}
	parent := ""
	if s.parentGoMod != "" {
		if parent, err = modulePath(s.parentGoMod); err != nil {
			return err
		}
	}
	files := strings.FieldsFunc(string(list), func(r rune) bool { return r == '\n' })
	seen := map[string]string{}
	for _, file := range files {
		to, err := s.place(file, parent)
		if err != nil {
			return err
		}
		if other := seen[to]; other != "" {
			return fmt.Errorf("%s and %s would both be %s in the module", other, file, to)
		}
		seen[to] = file
		if err := copyFile(file, filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	return nil
}

// place is where in the module a file belongs. parent is the path of the module around it.
func (s *sources) place(file, parent string) (string, error) {
	if rel, ok := below(file, filepath.Dir(s.modules)); ok {
		return filepath.Join("vendor", rel), nil
	}
	if rel, ok := below(file, filepath.Dir(s.goMod)); ok {
		return rel, nil
	}
	if s.parentGoMod != "" {
		if rel, ok := below(file, filepath.Dir(s.parentGoMod)); ok {
			return filepath.Join("vendor", filepath.FromSlash(parent), rel), nil
		}
	}
	return "", fmt.Errorf("%s is neither in the module's folder nor in the parent's nor a vendored file", file)
}

// below gives file's path relative to the folder dir, if it is in that.
func below(file, dir string) (string, bool) {
	rel, err := filepath.Rel(dir, file)
	return rel, err == nil && filepath.IsLocal(rel)
}

// modulePath is the path that a go.mod declares.
func modulePath(goMod string) (string, error) {
	data, err := os.ReadFile(goMod)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(path), nil
		}
	}
	return "", fmt.Errorf("%s has no line 'module PATH'", goMod)
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return write(to, 0o644, in)
}
