// Package buildcontext lists the files of a Dockerfile's build context, without those that .dockerignore names, as the
// solver takes them.
package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/tempfile"
)

// maxIgnore is how large a .dockerignore may be, in bytes.
const maxIgnore = 1 << 20

// Options say what a build has.
type Options struct {
	Dockerfile string   // file
	Dir        string   // folder of the context
	Exclude    []string // files and folders that are no part of the context: what the build itself writes
}

// List gives the files of the context below /context, and the Dockerfile below /dockerfile. Their own x bits count,
// otherwise modes are those of mappings; symlinks are followed.
func List(o Options) (*mapping.Spec, error) {
	spec := &mapping.Spec{}
	add := func(src, dest string) {
		spec.Mappings = append(spec.Mappings, mapping.Mapping{Src: src, Dest: dest})
	}
	info, err := os.Stat(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("build context: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("build context %s: it is no folder", o.Dir)
	}
	ignoreFile, err := addDockerfile(o, add)
	if err != nil {
		return nil, err
	}
	patterns, err := readIgnore(ignoreFile)
	if err != nil {
		return nil, err
	}
	w := walk{add: add}
	for _, file := range o.Exclude {
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		w.exclude = append(w.exclude, abs)
	}
	if w.matcher, err = patternmatcher.New(patterns); err != nil {
		return nil, fmt.Errorf("%s: %w", ignoreFile, err)
	}
	return spec, w.folder(o.Dir, "", nil)
}

// addDockerfile adds the Dockerfile, and gives the file that says what to ignore: NAME.dockerignore beside it, which
// BuildKit prefers, else the context's .dockerignore.
func addDockerfile(o Options, add func(src, dest string)) (ignoreFile string, err error) {
	info, err := os.Stat(o.Dockerfile)
	if err != nil {
		return "", fmt.Errorf("Dockerfile: %w", err)
	}
	if info.IsDir() {
		return "", fmt.Errorf("Dockerfile %s: it is a folder; name the file in it", o.Dockerfile)
	}
	name := filepath.Base(o.Dockerfile)
	add(o.Dockerfile, path.Join("dockerfile", name))
	own := o.Dockerfile + ".dockerignore"
	if _, err := os.Stat(own); err == nil {
		add(own, path.Join("dockerfile", name+".dockerignore"))
		return own, nil
	}
	return filepath.Join(o.Dir, ".dockerignore"), nil
}

// readIgnore reads the patterns of a .dockerignore that may not be there.
func readIgnore(file string) ([]string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxIgnore {
		return nil, fmt.Errorf("%s: %d bytes; at most %d are read", file, info.Size(), maxIgnore)
	}
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return patterns, nil
}

type walk struct {
	matcher *patternmatcher.PatternMatcher
	exclude []string // absolute
	add     func(src, dest string)
}

// folder adds what is in the folder dir, whose path in the context is rel. above are the folders on the way, so that a
// symlink to one of them does not lead round in circles.
func (w *walk) folder(dir, rel string, above []os.FileInfo) error {
	self, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(above, func(i os.FileInfo) bool { return os.SameFile(i, self) }) {
		return fmt.Errorf("%s: the symlink leads back to a folder that it is in; name it in .dockerignore", dir)
	}
	above = append(slices.Clip(above), self)
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		src, dest := filepath.Join(dir, e.Name()), path.Join(rel, e.Name())
		abs, err := filepath.Abs(src)
		if err != nil {
			return err
		}
		if slices.Contains(w.exclude, abs) || tempfile.Is(e.Name()) { // what a killed build left of its outputs
			continue
		}
		ignored, err := w.ignores(dest)
		if err != nil {
			return err
		}
		info, statErr := os.Stat(src)
		switch {
		case ignored && (statErr != nil || !info.IsDir()):
		case statErr != nil:
			return fmt.Errorf("build context: %w; name it in .dockerignore if it is not needed", statErr)
		case ignored && !w.matcher.Exclusions(): // no pattern takes back anything in it
		case info.IsDir():
			if err := w.folder(src, dest, above); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			w.add(src, path.Join("context", dest))
		default:
			return fmt.Errorf("build context: %s is neither a file nor a folder; name it in .dockerignore", src)
		}
	}
	return nil
}

// ignores tells whether .dockerignore names a file or folder.
func (w *walk) ignores(dest string) (bool, error) {
	if dest == ".dockerignore" { // BuildKit reads it, whatever it says of itself
		return false, nil
	}
	return w.matcher.MatchesOrParentMatches(dest)
}
