// Package cache is BuildKit's cache of former solves: it comes with the input disk, and what is new goes to the output
// disk.
package cache

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Provider reads the blobs that the host has.
type Provider interface {
	content.Provider
	content.InfoProvider
}

// Store reads from a Provider, and writes what that does not have to a tar archive of blobs/sha256/…, one blob after
// the other.
type Store struct {
	Provider
	begin func() (io.Writer, error)

	writing  sync.Mutex // held by the writer of a blob
	tar      *tar.Writer
	written  map[digest.Digest]bool
	manifest digest.Digest
	err      error // the archive is spoilt
}

// New makes a store. begin is called when the first blob comes, and gives what the archive is written to.
func New(p Provider, begin func() (io.Writer, error)) *Store {
	return &Store{Provider: p, begin: begin, written: map[digest.Digest]bool{}}
}

// Finish completes the archive and gives the digest of the cache's manifest, "" if BuildKit saved none.
func (s *Store) Finish() (digest.Digest, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.err != nil || s.manifest == "" {
		return "", s.err
	}
	if err := s.open(); err != nil { // the host has it all
		return "", err
	}
	return s.manifest, s.tar.Close()
}

// open starts the archive, if it is not there.
func (s *Store) open() error {
	if s.tar != nil {
		return nil
	}
	to, err := s.begin()
	if err != nil {
		return s.spoil(err)
	}
	s.tar = tar.NewWriter(to)
	return nil
}

// Writer implements content.Ingester. It waits until the blob before is written.
func (s *Store) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var o content.WriterOpts
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	if err := o.Desc.Digest.Validate(); err != nil || o.Desc.Size <= 0 {
		return nil, fmt.Errorf("%w: a blob of the cache needs a digest and a size", errdefs.ErrInvalidArgument)
	}
	s.writing.Lock()
	w, err := s.start(ctx, o)
	if err != nil {
		s.writing.Unlock()
		return nil, err
	}
	return w, nil
}

func (s *Store) start(ctx context.Context, o content.WriterOpts) (*writer, error) {
	if s.err != nil {
		return nil, s.err
	}
	if o.Desc.MediaType == ocispecs.MediaTypeImageManifest {
		s.manifest = o.Desc.Digest
	}
	_, err := s.Info(ctx, o.Desc.Digest)
	if err == nil || s.written[o.Desc.Digest] {
		return nil, fmt.Errorf("blob %s: %w", o.Desc.Digest, errdefs.ErrAlreadyExists)
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	err = s.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: "blobs/sha256/" + o.Desc.Digest.Encoded(), Mode: 0o644, Size: o.Desc.Size,
	})
	if err != nil {
		return nil, s.spoil(err)
	}
	return &writer{s: s, ref: o.Ref, desc: o.Desc, sum: digest.SHA256.Digester()}, nil
}

func (s *Store) spoil(err error) error {
	s.err = fmt.Errorf("the cache cannot be saved: %w", err)
	return s.err
}

// writer writes one blob. Half of one spoils the archive.
type writer struct {
	s      *Store // nil once it is closed
	ref    string
	desc   ocispecs.Descriptor
	sum    digest.Digester
	offset int64
}

func (w *writer) Write(b []byte) (int, error) {
	if w.s == nil {
		return 0, errors.New("write to a closed blob")
	}
	n, err := w.s.tar.Write(b)
	w.sum.Hash().Write(b[:n])
	w.offset += int64(n)
	if err != nil {
		return n, w.s.spoil(err)
	}
	return n, nil
}

// Commit implements content.Writer.
func (w *writer) Commit(context.Context, int64, digest.Digest, ...content.Opt) error {
	if w.s == nil {
		return errors.New("commit of a closed blob")
	}
	s := w.s
	defer w.release()
	if got := w.sum.Digest(); got != w.desc.Digest || w.offset != w.desc.Size {
		return s.spoil(fmt.Errorf("a blob of %d bytes has the digest %s, and %d bytes of %s were expected",
			w.offset, got, w.desc.Size, w.desc.Digest))
	}
	s.written[w.desc.Digest] = true
	return nil
}

// Close implements content.Writer.
func (w *writer) Close() error {
	if w.s != nil {
		w.s.spoil(fmt.Errorf("blob %s was given up", w.desc.Digest))
		w.release()
	}
	return nil
}

func (w *writer) release() {
	w.s.writing.Unlock()
	w.s = nil
}

func (w *writer) Digest() digest.Digest { return w.desc.Digest }

// Truncate implements content.Writer: what is written is written.
func (w *writer) Truncate(size int64) error {
	if size != w.offset {
		return fmt.Errorf("%w: a blob of the cache is written in one go", errdefs.ErrFailedPrecondition)
	}
	return nil
}

// Status implements content.Writer.
func (w *writer) Status() (content.Status, error) {
	return content.Status{Ref: w.ref, Offset: w.offset, Total: w.desc.Size, Expected: w.desc.Digest}, nil
}
