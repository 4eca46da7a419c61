// Package cli holds what Fledge's command line tools share: outputs that appear whole or not at all, exit codes and the
// wording of errors.
package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/tempfile"
)

// Exit codes of every Fledge tool.
const (
	ExitOK    = 0
	ExitError = 1 // an input is bad or a file could not be read or written
	ExitUsage = 2 // the command line is wrong
)

// UsageError is an error in the command line; tools exit with ExitUsage for it.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// WithExitCode gives err an exit code of its own, for what a command has to tell apart from failures.
func WithExitCode(err error, code int) error { return &codeError{err, code} }

type codeError struct {
	error
	code int
}

func (e *codeError) Unwrap() error { return e.error }

// ExitCode is the exit code that stands for err.
func ExitCode(err error) int {
	var usage *UsageError
	var own *codeError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &usage):
		return ExitUsage
	}
	return ExitError
}

// WriteFile makes the file at path with what write puts out. The file appears under its name only when write and
// everything after it went well; otherwise nothing is left behind. The temporary file lies beside the target, so that
// the rename is atomic, and is seekable. Errors name the file at path.
func WriteFile(path string, write func(f *os.File) error) error {
	return WriteFileMode(path, 0o644, write)
}

// WriteFileMode is WriteFile with other permissions than those of an ordinary file.
func WriteFileMode(path string, mode os.FileMode, write func(f *os.File) error) error {
	return writeFile(path, mode, false, write)
}

// WriteKept is WriteFile for what later runs take for good by its name, and for a user's sources: its bytes are on the disk
// before the name is, so that not even a machine that loses power has the name without them.
func WriteKept(path string, mode os.FileMode, write func(f *os.File) error) error {
	return writeFile(path, mode, true, write)
}

func writeFile(path string, mode os.FileMode, sync bool, write func(f *os.File) error) (err error) {
	f, err := tempfile.Create(path)
	if err != nil {
		return About(err, path)
	}
	defer func() {
		if err != nil {
			f.Discard()
			err = About(err, path)
		}
	}()
	if err := write(f.File); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Rename(path)
}

// WriteBuffered is WriteFile for output that is written front to back in small pieces.
func WriteBuffered(path string, write func(w io.Writer) error) error {
	return WriteFile(path, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<18)
		if err := write(w); err != nil {
			return err
		}
		return w.Flush()
	})
}
