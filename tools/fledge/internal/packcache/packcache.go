// Package packcache keeps layer packs between builds, by what is in them: a build packs only what changed.
package packcache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
)

// Cache is a folder of packs, made with the same settings by the same program.
type Cache struct {
	dir      string
	settings packing.Settings
}

// Open opens the cache below the folder dir. program stands for the code that packs: another version's packs may have
// other bytes.
func Open(dir, program string, settings packing.Settings) (*Cache, error) {
	key := fmt.Sprintf("%s\n%s %s %d %d", program, settings.Kind, settings.Codec.Name, settings.Codec.Level, settings.BlockSize)
	sum := sha256.Sum256([]byte(key))
	c := &Cache{filepath.Join(dir, "packs", hex.EncodeToString(sum[:8])), settings}
	return c, os.MkdirAll(c.dir, 0o755)
}

// Pack is a pack in the cache.
type Pack struct {
	File   string
	Size   int64 // in bytes
	Cached bool  // it was there already
}

// Layer gives the pack of a layer with a digest, "sha256:HEX", which add adds and verifies.
func (c *Cache) Layer(digest string, add func(layerpack.Adder) error) (Pack, error) {
	sum := sha256.Sum256([]byte("layer " + digest))
	return c.pack(hex.EncodeToString(sum[:]), add)
}

// Files gives the pack of what add adds. It is called twice when there is none yet: to find out what it adds, and to pack
// that.
func (c *Cache) Files(add func(layerpack.Adder) error) (Pack, error) {
	key, err := Key(add)
	if err != nil {
		return Pack{}, err
	}
	return c.pack(key, func(to layerpack.Adder) error {
		h := newHasher(to)
		if err := add(h); err != nil {
			return err
		}
		if h.key() != key {
			return errors.New("the files changed while they were read; build again")
		}
		return nil
	})
}

func (c *Cache) pack(key string, add func(layerpack.Adder) error) (p Pack, err error) {
	p = Pack{File: filepath.Join(c.dir, key+".pack")}
	if info, err := os.Stat(p.File); err == nil && c.settings.Check(p.File) == nil { // one that a crash cut off is made anew
		p.Size, p.Cached = info.Size(), true
		return p, nil
	}
	err = cli.WriteKept(p.File, 0o644, func(f *os.File) error { // of the data nothing is verified when it is taken from here
		if _, err := c.settings.Write(f, add); err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			p.Size = info.Size()
		}
		return err
	})
	return p, err
}

// Key stands for all that add adds: the entries and the data of files.
func Key(add func(layerpack.Adder) error) (string, error) {
	h := newHasher(nil)
	if err := add(h); err != nil {
		return "", err
	}
	return h.key(), nil
}

// hasher computes a key of what is added to it, and passes it on to another, if there is one.
type hasher struct {
	to      layerpack.Adder
	data    hash.Hash
	entries entries.Writer
}

func newHasher(to layerpack.Adder) *hasher { return &hasher{to: to, data: sha256.New()} }

// Add implements layerpack.Adder.
func (h *hasher) Add(e fstree.Entry, data io.Reader, size int64) error {
	known := e
	known.Content = fstree.NoContent
	h.entries.Add(known)
	if data == nil {
		return h.next(e, nil, size)
	}
	fmt.Fprintf(h.data, "%d\n", size)
	tee := io.TeeReader(io.LimitReader(data, size), h.data)
	if err := h.next(e, tee, size); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, tee)
	return err
}

func (h *hasher) next(e fstree.Entry, data io.Reader, size int64) error {
	if h.to == nil {
		return nil
	}
	return h.to.Add(e, data, size)
}

func (h *hasher) key() string {
	all := sha256.New()
	io.Copy(all, h.entries.Reader()) // from memory
	all.Write(h.data.Sum(nil))
	return hex.EncodeToString(all.Sum(nil))
}
