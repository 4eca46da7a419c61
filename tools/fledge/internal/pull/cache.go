package pull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/ocilayout"
)

const lockInterval = 100 * time.Millisecond

func (c *Client) blobs() string    { return filepath.Join(c.Cache, "blobs", "sha256") }
func (c *Client) partials() string { return filepath.Join(c.Cache, "partial") }
func (c *Client) images() string   { return filepath.Join(c.Cache, "images", "sha256") }

// blobFile is where a blob is or will be.
func (c *Client) blobFile(digest string) string {
	return filepath.Join(c.blobs(), strings.TrimPrefix(digest, "sha256:"))
}

// keep puts a small document into the cache and gives its digest.
func (c *Client) keep(data []byte) (digest, file string, err error) {
	digest = digestOf(data)
	file = c.blobFile(digest)
	if verifyFile(file, digest, int64(len(data))) == nil {
		return digest, file, nil
	}
	return digest, file, cli.WriteFile(file, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// kept reads a small document from the cache; nil when it is not there, or damaged.
func (c *Client) kept(digest string) []byte {
	f, err := os.Open(c.blobFile(digest))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, ocilayout.MaxJSON+1))
	if err != nil || digestOf(data) != digest {
		return nil
	}
	return data
}

// digestOf is sha256:HEX of data.
func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// verifyFile fails unless the file at path has a digest and a size.
func verifyFile(path, digest string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size {
		return fmt.Errorf("%s is damaged: it has %d bytes, and not %d", path, info.Size(), size)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); got != digest {
		return fmt.Errorf("%s is damaged: it has the digest %s", path, got)
	}
	return nil
}

// openPartial opens the unfinished file for a digest, for this process alone: another one that is at it is waited for.
func (c *Client) openPartial(ctx context.Context, digest string) (*os.File, error) {
	path := filepath.Join(c.partials(), strings.TrimPrefix(digest, "sha256:"))
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := c.lock(ctx, f); err != nil {
			f.Close()
			return nil, err
		}
		// Whoever had it before may have finished it, and moved it to its place.
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(mine, now) {
			return f, nil
		}
		f.Close()
	}
}

func (c *Client) lock(ctx context.Context, f *os.File) error {
	for attempt := 0; ; attempt++ {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			if err != nil {
				return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
			}
			return nil
		}
		if attempt == 1 {
			c.note("%s: another process is fetching it; waiting", filepath.Base(f.Name()))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockInterval):
		}
	}
}
