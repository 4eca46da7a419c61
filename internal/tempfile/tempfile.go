// Package tempfile makes files and folders that get their final name only once they are whole. Until then they are
// .NAME.fledge-NUMBER beside it, and locked (flock) by the process that makes them: so what a killed process has left is
// known for what it is, and goes when another begins something in the same folder. Where a file system has no locks it
// stays.
package tempfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mark is what the names have between that of the whole and the number.
const mark = ".fledge-"

// attempts is how often another process may take a new file for one that was left, in the moment before it is locked.
const attempts = 100

// Is tells whether name, without a folder, is that of a file or a folder that is not whole, or was left.
func Is(name string) bool {
	before, number, found := cutLast(name, mark)
	return found && len(before) > 1 && before[0] == '.' && number != "" && strings.Trim(number, "0123456789") == ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// File is a file that is not whole yet.
type File struct {
	*os.File
	lock *os.File // nil where there are no locks
}

// Create begins the file that is to become path. Its owner alone can read it.
func Create(path string) (*File, error) {
	var f *os.File
	_, lock, err := begin(path, func(dir, pattern string) (name string, err error) {
		f.Close() // that of the attempt before
		if f, err = os.CreateTemp(dir, pattern); err != nil {
			return "", err
		}
		return f.Name(), nil
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{f, lock}, nil
}

// Rename closes the file and gives it its name, or another in the same file system. Without an error it is done with.
func (f *File) Rename(path string) error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	f.lock.Close()
	return nil
}

// Discard closes the file and removes it.
func (f *File) Discard() {
	f.Close()
	os.Remove(f.Name())
	f.lock.Close()
}

// Folder is a folder of what is not whole yet.
type Folder struct {
	Path string
	lock *os.File // nil where there are no locks
}

// MakeFolder makes a folder beside path, for its owner alone.
func MakeFolder(path string) (*Folder, error) {
	name, lock, err := begin(path, os.MkdirTemp)
	if err != nil {
		return nil, err
	}
	return &Folder{name, lock}, nil
}

// Remove removes the folder with what is still in it.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.Path)
	f.lock.Close()
	return err
}

// Sync has the bytes of all files in a folder on the disk, for who gives it a name that is taken for good later.
func Sync(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// begin makes something and locks it.
func begin(path string, make func(dir, pattern string) (string, error)) (name string, lock *os.File, err error) {
	path = filepath.Clean(path)
	dir := filepath.Dir(path)
	removeLeft(dir)
	for range attempts {
		if name, err = make(dir, "."+filepath.Base(path)+mark+"*"); err != nil {
			return "", nil, err
		}
		lock, err := take(name)
		if !errors.Is(err, errTaken) {
			return name, lock, err
		}
	}
	return "", nil, fmt.Errorf("%s: other processes removed what was begun", path)
}

// errTaken says that another process has locked something, or has removed it.
var errTaken = errors.New("taken by another process")

// take locks a file or a folder; nil where there are no locks.
func take(name string) (lock *os.File, err error) {
	lock, err = os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, err
	}
	switch err = flock(lock); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = errTaken
	case err != nil:
		return nil, lock.Close()
	case !isAt(lock, name):
		err = errTaken
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EINTR {
			return err
		}
	}
}

// isAt tells whether the name is still that of f.
func isAt(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(name)
	return err == nil && os.SameFile(mine, now)
}

// removeLeft removes what killed processes left in a folder: what nobody has locked. That it cannot is no error, as it is
// in nobody's way.
func removeLeft(dir string) {
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if !Is(e.Name()) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		if lock, err := take(name); err == nil && lock != nil {
			os.RemoveAll(name)
			lock.Close()
		}
	}
}
