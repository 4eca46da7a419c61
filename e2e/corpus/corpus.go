// Package corpus makes the image that Fledge's end-to-end tests and benchmarks work on: Debian as an OCI layout of three
// layers (system, Python runtime, app) that together hold every kind of file that a layer can.
//
// It needs root and debootstrap, and a Debian mirror in apt's configuration. What it makes is kept in a cache folder.
package corpus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/layers"
)

// revision is raised whenever the layers change, so that no cache gives out older ones.
const revision = "1"

// Options choose a variant of the corpus.
type Options struct {
	Compression layers.Compression // of the layers
	Huge        bool               // with a sparse file of more than 4 GiB in the app layer
}

func (o Options) name() string {
	name := "oci-" + string(o.Compression)
	if o.Huge {
		name += "-huge"
	}
	return name
}

// ErrMissing is in the chain of errors about something the machine lacks; tests skip for it.
var ErrMissing = errors.New("the corpus cannot be made here")

// Cache is the folder that holds what Make makes: fledge/corpus in the user's cache folder (XDG_CACHE_HOME).
func Cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "fledge", "corpus"), nil
}

// Make returns the folder of the OCI layout that o describes, making it first when the cache has none. The layout's
// bytes depend on the Debian root folder and o alone. What debootstrap says goes to progress.
func Make(ctx context.Context, o Options, progress io.Writer) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	layout := filepath.Join(cache, "v"+revision, o.name())
	if exists(layout) {
		return layout, nil
	}
	root, err := debian(ctx, cache, progress)
	if err != nil {
		return "", err
	}
	system, runtime, err := split(root)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "writing %s\n", layout)
	err = appear(layout, func(dir string) error {
		config := v1.ImageConfig{
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"},
			Cmd: []string{"/usr/bin/python3", "/opt/app/main.py"},
		}
		return layers.WriteLayout(dir, o.Compression, config,
			concat(system, systemSpecials),
			concat(runtime, runtimeSpecials),
			concat(app, appSpecials(o.Huge)))
	})
	return layout, err
}

func concat(parts ...layers.Layer) layers.Layer {
	return func(w *layers.Writer) error {
		for _, part := range parts {
			if err := part(w); err != nil {
				return err
			}
		}
		return nil
	}
}

// appear makes the folder dir with what fill puts into it; it has its name only when everything went well.
func appear(dir string, fill func(dir string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := fill(partial); err != nil {
		return err
	}
	return os.Rename(partial, dir)
}

// lock keeps other processes out until the returned function is called.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
