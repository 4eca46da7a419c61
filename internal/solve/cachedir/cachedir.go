// Package cachedir is a directory with BuildKit's cache of former solves, which any number of solves may use at once:
//
//	index.json       OCI image index: the caches' manifests, the one used last first
//	blobs/sha256/    the blobs of these manifests
//	sessions/        hard links to the blobs that running solves use, and their new blobs
//	salt             random bytes
//	lock             held (flock) while one of the above changes
//
// Readers see whole files alone: new ones are renamed or linked to their place, under the lock. What a solve uses has
// a name in its session, so that it stays while others evict it.
package cachedir

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is a cache directory.
type Dir struct {
	path  string
	limit int64 // bytes of all blobs
	salt  []byte
}

const saltSize = 32

// Open opens a cache directory, and makes it if it is not there. Only its owner can read it: it holds what the images'
// stages held.
func Open(path string, limit int64) (*Dir, error) {
	d := &Dir{path: path, limit: limit}
	err := func() error {
		for _, sub := range []string{d.blobs(), d.sessions()} {
			if err := os.MkdirAll(sub, 0o700); err != nil {
				return err
			}
		}
		unlock, err := d.lock()
		if err != nil {
			return err
		}
		defer unlock()
		return d.readSalt()
	}()
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w: it must be a directory that this user can write to; for a Bazel action that "+
			"is --sandbox_writable_path=%[1]s", path, err)
	}
	return d, nil
}

func (d *Dir) blobs() string             { return filepath.Join(d.path, "blobs", "sha256") }
func (d *Dir) sessions() string          { return filepath.Join(d.path, "sessions") }
func (d *Dir) index() string             { return filepath.Join(d.path, "index.json") }
func (d *Dir) blob(digest string) string { return filepath.Join(d.blobs(), hash(digest)) }

// lock waits until no one else changes the directory.
func (d *Dir) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

func (d *Dir) readSalt() error {
	name := filepath.Join(d.path, "salt")
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(b) != saltSize { // a new one makes all that is there useless, which is right for what is damaged
		b = make([]byte, saltSize)
		rand.Read(b)
		if err := replace(name, b); err != nil {
			return err
		}
	}
	d.salt = b
	return nil
}

// Family names solves that may share results, by what write writes: all that a result depends on and BuildKit does not
// look at. The name tells nothing of that to those who do not have the directory.
func (d *Dir) Family(write func(io.Writer) error) (string, error) {
	mac := hmac.New(sha256.New, d.salt)
	err := write(mac)
	return hex.EncodeToString(mac.Sum(nil)), err
}

// replace writes a file that appears whole. The lock is held.
func replace(name string, data []byte) error {
	temp := name + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, name)
}

// hash is the hex digits of a digest.
func hash(digest string) string { return digest[len("sha256:"):] }
