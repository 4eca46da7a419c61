// Package store is the folder of what is kept between builds. It has a CACHEDIR.TAG (https://bford.info/cachedir), so that
// backups leave it out and that it cannot be taken for another folder.
package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/tempfile"
)

// folders are what builds keep: blobs, images and partial of package pull; programs of package fetch; packs of package
// packcache; solved and buildkit of Dockerfiles, and the initramfs of the machines that solve them.
var folders = []string{"blobs", "images", "partial", "programs", "packs", "solved", "buildkit", "initramfs"}

const (
	tagName = "CACHEDIR.TAG"
	tag     = "Signature: 8a477f597d28d172789f06886806bc55\n# Kept by fledge between builds. fledge clean empties it; see docs/fledge.md.\n"
)

// Store is an open folder: as long as it is, nothing cleans it.
type Store struct{ tag *os.File } // nil in a folder that was there before, and where there are no locks

// Open opens the folder, and makes it if it is not there.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := makeTag(dir); err != nil {
		return nil, err
	}
	f, err := openTag(filepath.Join(dir, tagName))
	if err != nil { // what is in it is kept all the same
		return &Store{}, nil
	}
	if lock(f, unix.LOCK_SH) != nil { // some file systems of networks have no locks, and then Clean refuses
		f.Close()
		return &Store{}, nil
	}
	return &Store{f}, nil
}

// makeTag makes the tag of a folder that has nothing in it, one process at a time: another tag would have another lock.
func makeTag(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	lock(f, unix.LOCK_EX) // without locks Clean refuses anyway
	list, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	if !isNew(list) {
		return nil
	}
	return cli.WriteKept(filepath.Join(dir, tagName), 0o644, func(f *os.File) error {
		_, err := f.WriteString(tag)
		return err
	})
}

// isNew tells whether a folder's entries are none, or a tag that is not whole.
func isNew(list []fs.DirEntry) bool {
	return !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return !tempfile.Is(e.Name()) })
}

// Close ends the use of the folder.
func (s *Store) Close() error {
	if s.tag == nil {
		return nil
	}
	return s.tag.Close()
}

// Clean removes what is kept in the folder, and gives how many bytes that were. A folder that Open did not make, and one
// that a build uses, is an error.
func Clean(dir string) (freed int64, err error) {
	file := filepath.Join(dir, tagName)
	f, err := openTag(file)
	if errors.Is(err, fs.ErrNotExist) {
		if list, gone := os.ReadDir(dir); errors.Is(gone, fs.ErrNotExist) || gone == nil && isNew(list) {
			return 0, nil
		}
		f, err = openTag(file) // it may have been made meanwhile
	}
	if err != nil {
		return 0, fmt.Errorf("%s is no folder that fledge made to keep things in (%w); nothing is removed", dir, err)
	}
	defer f.Close()
	if err := lock(f, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return 0, fmt.Errorf("%s: a build is using it; wait until it is done", dir)
	} else if err != nil {
		return 0, err
	}
	for _, name := range folders {
		at := filepath.Join(dir, name)
		size, err := sizeOf(at)
		if err == nil {
			err = os.RemoveAll(at)
		}
		if err != nil {
			return freed, err
		}
		freed += size
	}
	return freed, nil
}

// openTag opens the tag, which must be fledge's.
func openTag(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	head := make([]byte, len(tag)+1)
	n, _ := f.ReadAt(head, 0) // it ends before that
	if !bytes.Equal(head[:n], []byte(tag)) {
		f.Close()
		return nil, fmt.Errorf("%s is of another program", file)
	}
	return f, nil
}

func lock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil && !errors.Is(err, unix.EWOULDBLOCK):
			return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
		return err
	}
}

// sizeOf is how many bytes the files in a folder have; those with several names count once.
func sizeOf(dir string) (size int64, err error) {
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			id := inode{uint64(s.Dev), s.Ino}
			if seen[id] {
				return nil
			}
			seen[id] = true
		}
		size += info.Size()
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return size, err
}
