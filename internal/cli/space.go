package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fledge-build/fledge/internal/tempfile"
)

// SpaceError says that there was no room for a file.
type SpaceError struct {
	Path string
	Err  error // syscall.ENOSPC or EDQUOT
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %v: free some on its file system, or write to another", e.Path, e.Err)
}

func (e *SpaceError) Unwrap() error { return e.Err }

// NoSpace tells whether err is about a full disk, or a user's share of it that is used up.
func NoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// About makes an error of writing the file or folder at path one that names it, and not what stands for it until it is whole.
func About(err error, path string) error {
	var space *SpaceError
	if err == nil || errors.As(err, &space) { // of a file that was written meanwhile
		return err
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return &SpaceError{path, full}
		}
	}
	var at *fs.PathError
	var renamed *os.LinkError
	switch {
	case errors.As(err, &renamed) && tempfile.Is(filepath.Base(renamed.Old)):
		return &fs.PathError{Op: "write", Path: renamed.New, Err: renamed.Err}
	case errors.As(err, &at) && tempfile.Is(filepath.Base(at.Path)):
		at.Path = path
	}
	return err
}

// AboutFolder is About for a file in the folder temp that is to be one in dir.
func AboutFolder(err error, temp, dir string) error {
	var space *SpaceError
	var at *fs.PathError
	in := func(path string) string {
		if rest, ok := strings.CutPrefix(path, temp+string(filepath.Separator)); ok {
			return filepath.Join(dir, rest)
		}
		return path
	}
	switch {
	case errors.As(err, &space):
		space.Path = in(space.Path)
	case errors.As(err, &at):
		at.Path = in(at.Path)
	}
	return err
}
