package pull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/ocilayout"
)

// enoughProgress is how many bytes more than ever before make a broken connection no failed attempt.
const enoughProgress = 1 << 20

// errProgress marks an attempt that failed after it had brought a good deal.
var errProgress = errors.New("cut off")

// replace gets a blob anew whose file is damaged.
func (p *registryPull) replace(ctx context.Context, b ocilayout.Blob) error {
	file := p.blobFile(b.Digest)
	p.note("%s: %s is damaged; fetching it anew", p.ref, file)
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return p.blob(ctx, "layer", b)
}

// blob gets a blob into the cache, unless it is there. Its bytes are checked now when they come from a registry, and
// otherwise when they are used.
func (p *registryPull) blob(ctx context.Context, what string, b ocilayout.Blob) error {
	if p.cached(b) {
		return nil
	}
	f, err := p.openPartial(ctx, b.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	if p.cached(b) { // by another process meanwhile
		return os.Remove(f.Name())
	}
	d := &download{registryPull: p, blob: b, file: f, hash: sha256.New()}
	if err := d.begin(); err != nil {
		return err
	}
	if err := p.try(ctx, request{what: what, id: b.Digest}, func(e *endpoint) error {
		return d.from(ctx, e)
	}); err != nil {
		return err
	}
	return os.Rename(f.Name(), p.blobFile(b.Digest))
}

// cached says whether a blob is in the cache. Large ones are checked when they are used, by Layer.Open.
func (p *registryPull) cached(b ocilayout.Blob) bool {
	file := p.blobFile(b.Digest)
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() != b.Size {
		return false
	}
	if b.Size <= ocilayout.MaxJSON && verifyFile(file, b.Digest, b.Size) != nil {
		p.note("%s: %s is damaged; fetching it anew", p.ref, file)
		return false
	}
	p.progress(Progress{Reference: p.ref.String(), Digest: b.Digest, Done: b.Size, Total: b.Size, Cached: true})
	return true
}

// download is a blob on its way.
type download struct {
	*registryPull
	blob    ocilayout.Blob
	file    *os.File
	hash    hash.Hash // of what file has
	done    int64     // bytes that file has
	most    int64     // bytes that it ever had
	resumed bool      // whether some are from an earlier run
}

// begin takes up what an earlier run has left.
func (d *download) begin() error {
	n, err := io.Copy(d.hash, io.LimitReader(d.file, d.blob.Size+1))
	if err != nil {
		return err
	}
	if n > d.blob.Size {
		return d.restart()
	}
	d.done, d.most, d.resumed = n, n, n > 0
	return d.room()
}

// room fails when there is not enough space for what is missing: a manifest may name a layer of any size, and a server
// send bytes without end.
func (d *download) room() error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(d.file.Fd()), &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: d.file.Name(), Err: err}
	}
	free := uint64(fs.Bavail) * uint64(fs.Bsize)
	if need := uint64(d.blob.Size - d.done); need > free {
		full := &os.PathError{Op: "write", Path: d.file.Name(), Err: unix.ENOSPC}
		return fmt.Errorf("%s: %s: %w: %d more bytes are needed, and there are %d free", d.ref, d.blob.Digest, full, need, free)
	}
	return nil
}

func (d *download) restart() error {
	d.hash.Reset()
	d.done, d.resumed = 0, false
	if err := d.file.Truncate(0); err != nil {
		return refusal{err}
	}
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return refusal{err}
	}
	return nil
}

// from asks an endpoint for what is missing, and checks the whole.
func (d *download) from(parent context.Context, e *endpoint) error {
	before := d.most
	if d.done < d.blob.Size {
		ctx, touch, stop := patience(parent, d.stall())
		err := d.receive(ctx, e, touch)
		stop()
		if err != nil && d.most-before >= enoughProgress && !e.final(err) {
			return fmt.Errorf("%w after %d of %d bytes: %w", errProgress, d.done, d.blob.Size, err)
		}
		if err != nil {
			return err
		}
	}
	got := "sha256:" + hex.EncodeToString(d.hash.Sum(nil))
	if got == d.blob.Digest {
		return nil
	}
	resumed := d.resumed
	if err := d.restart(); err != nil {
		return err
	}
	if resumed {
		return errors.New("what an earlier run had left of it was damaged")
	}
	return refusal{fmt.Errorf("%w: it has the digest %s", errAltered, got)}
}

// receive reads an endpoint's answer.
func (d *download) receive(ctx context.Context, e *endpoint, touch func()) error {
	header := http.Header{}
	if d.done > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.done))
	}
	resp, err := e.get(ctx, "/blobs/"+d.blob.Digest, header)
	if err != nil {
		return plainError(ctx, err)
	}
	defer resp.Body.Close()
	if err := d.begins(resp); err != nil {
		return err
	}
	buffer := make([]byte, 256<<10)
	for d.done < d.blob.Size {
		n, err := resp.Body.Read(buffer[:min(int64(len(buffer)), d.blob.Size-d.done)])
		touch()
		if _, failed := d.file.Write(buffer[:n]); failed != nil {
			return refusal{failed}
		}
		d.hash.Write(buffer[:n])
		d.done += int64(n)
		d.most = max(d.most, d.done)
		if n > 0 {
			d.progress(Progress{
				Reference: d.ref.String(), Digest: d.blob.Digest, Done: d.done, Total: d.blob.Size, Resumed: d.resumed,
			})
		}
		if err != nil && d.done < d.blob.Size {
			return fmt.Errorf("cut off after %d of %d bytes: %w", d.done, d.blob.Size, plainError(ctx, err))
		}
	}
	return nil
}

// begins looks at which part of the blob an answer has.
func (d *download) begins(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusPartialContent:
		var from, to int64
		_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/", &from, &to)
		if err != nil || from != d.done || to >= d.blob.Size {
			return errors.Join(errors.New("the server sent another part of it than it was asked for"), d.restart())
		}
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(fmt.Errorf("the server has less than the %d bytes that the manifest says", d.blob.Size), d.restart())
	}
	if n := resp.ContentLength; n >= 0 && n != d.blob.Size {
		return refusal{fmt.Errorf("has %d bytes, and the manifest says %d", n, d.blob.Size)}
	}
	return d.restart() // the server has no ranges, or none was asked for
}
