package solve

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/fledge-build/fledge/internal/solve/cachedir"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Cache says where BuildKit's cache of former solves is. It makes a solve faster and changes nothing else: what is
// damaged is not used, and what does not fit in is not saved.
type Cache struct {
	Dir   string
	Key   string // names what is solved, "//app:image": its former solves help most
	Limit int64  // bytes that all caches in Dir may have
}

// openCache picks the caches that may help. Only a directory that cannot be written is an error.
func (t *task) openCache(ctx context.Context) error {
	if t.Cache == nil {
		return nil
	}
	if t.Job.Epoch > 0 {
		t.warn(fmt.Errorf("no cache for this solve: with a SOURCE_DATE_EPOCH over 0 older files keep their times, and " +
			"BuildKit's cache does not tell files by their times"))
		return nil
	}
	dir, err := cachedir.Open(t.Cache.Dir, t.Cache.Limit)
	if err != nil {
		return err
	}
	family, err := dir.Family(t.writeFamily)
	if err != nil {
		return err
	}
	if t.cache, err = dir.Use(ctx, family, t.Cache.Key, t.warn); err != nil {
		t.warn(fmt.Errorf("no cache for this solve: %w", err))
		return ctx.Err()
	}
	t.Job.Cache = &wire.Cache{Manifests: t.cache.Manifests}
	return nil
}

// writeFamily writes what a result depends on and BuildKit's own keys leave out: BuildKit itself and the kernel, and
// what secrets say.
func (t *task) writeFamily(w io.Writer) error {
	for _, file := range []string{t.Machine.Kernel, t.Machine.Initramfs} {
		d, n, err := measure(context.Background(), func() (io.ReadCloser, error) { return os.Open(file) })
		if err != nil {
			return err
		}
		fmt.Fprintln(w, d, n)
	}
	return json.NewEncoder(w).Encode([]any{t.Job.Arch, t.Secrets})
}

// writeCache adds the blobs that the images do not have.
func (t *task) writeCache(ctx context.Context, a archive) error {
	if t.cache == nil {
		return nil
	}
	for _, b := range t.cache.Blobs {
		if _, ok := t.images.find(b.Digest); ok {
			continue
		}
		open := func() (io.ReadCloser, error) { return os.Open(b.File) }
		if err := writeBlob(ctx, a, wire.CacheDir, source{b.Digest, b.Size, open}); err != nil {
			return fmt.Errorf("cache %s: %w", t.Cache.Dir, err)
		}
	}
	return nil
}

// saveCache adds what the guest's solve brought, be it one that failed. That it cannot is told, but the image is as good
// without; only an end of ctx is an error.
func (t *task) saveCache(ctx context.Context, disk string, res wire.Result) error {
	p := res.Cache
	if t.cache == nil || p == nil {
		return nil
	}
	t.cache.Partial = res.Failure != nil
	err := t.unpackCache(ctx, disk, *p)
	if err == nil {
		err = t.cache.Save(p.Digest, func(digest, file string) error {
			b, ok := t.images.find(digest)
			if !ok {
				return fmt.Errorf("the guest did not give blob %s", digest)
			}
			in, err := b.open()
			if err != nil {
				return err
			}
			defer in.Close()
			return writeVerified(file, in, strings.TrimPrefix(digest, "sha256:"))
		})
	}
	if err != nil {
		t.warn(fmt.Errorf("cache %s: this solve is not saved: %w", t.Cache.Dir, err))
	}
	return ctx.Err()
}

// unpackCache verifies the guest's archive, and makes its blobs files of the session.
func (t *task) unpackCache(ctx context.Context, disk string, p wire.Payload) error {
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := wire.CopyPayload(io.Discard, f, p); err != nil {
		return err
	}
	if !wire.IsDigest(p.Digest) {
		return fmt.Errorf("the guest gave no manifest but %q", p.Digest)
	}
	archive := io.NewSectionReader(f, wire.PayloadOffset+p.Offset, p.Size)
	return unpackBlobs(bufio.NewReaderSize(contextReader{ctx, archive}, 1<<20), t.cache.File)
}

// unpackBlobs writes each blob of an archive to the file that is given for its digest.
func unpackBlobs(r io.Reader, file func(digest string) string) error {
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		hash, ok := strings.CutPrefix(path.Clean(h.Name), "blobs/sha256/")
		if !ok || h.Typeflag != tar.TypeReg || wire.IsSparse(h) || !wire.IsDigest("sha256:"+hash) {
			return fmt.Errorf("%.80q is no blob of a cache", h.Name)
		}
		if err := writeVerified(file("sha256:"+hash), archive, hash); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
}

// warn tells of what does not stop the solve.
func (t *task) warn(err error) {
	if t.Event != nil {
		t.Event(wire.Event{Kind: wire.EventWarn, Text: err.Error()})
	}
}
