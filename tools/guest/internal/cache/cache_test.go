package cache

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// host is what the host has.
type host map[digest.Digest]bool

func (h host) Info(_ context.Context, d digest.Digest) (content.Info, error) {
	if !h[d] {
		return content.Info{}, errdefs.ErrNotFound
	}
	return content.Info{Digest: d}, nil
}

func (h host) ReaderAt(context.Context, ocispecs.Descriptor) (content.ReaderAt, error) {
	return nil, errdefs.ErrNotFound
}

func desc(kind, text string) ocispecs.Descriptor {
	return ocispecs.Descriptor{MediaType: kind, Digest: digest.FromString(text), Size: int64(len(text))}
}

func write(s *Store, kind, text string) error {
	return content.WriteBlob(context.Background(), s, text, strings.NewReader(text), desc(kind, text))
}

// blobs reads an archive.
func blobs(t *testing.T, b []byte) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || h.Name != "blobs/sha256/"+digest.FromBytes(text).Encoded() || found[string(text)] {
			t.Errorf("%s: %q, %v", h.Name, text, err)
		}
		found[string(text)] = true
	}
}

func TestStore(t *testing.T) {
	var b bytes.Buffer
	s := New(host{digest.FromString("old"): true}, func() (io.Writer, error) { return &b, nil })
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := write(s, ocispecs.MediaTypeImageLayer, fmt.Sprint("layer ", i%10)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := write(s, ocispecs.MediaTypeImageLayer, "old"); err != nil {
		t.Error(err)
	}
	if err := write(s, ocispecs.MediaTypeImageManifest, "manifest"); err != nil {
		t.Error(err)
	}
	if d, err := s.Finish(); d != digest.FromString("manifest") || err != nil {
		t.Errorf("%s, %v", d, err)
	}
	if found := blobs(t, b.Bytes()); len(found) != 11 || found["old"] || !found["layer 9"] {
		t.Errorf("archive %v", found)
	}
}

func TestNothingNew(t *testing.T) {
	var b bytes.Buffer
	s := New(host{digest.FromString("manifest"): true}, func() (io.Writer, error) { return &b, nil })
	if d, err := s.Finish(); d != "" || err != nil {
		t.Errorf("nothing saved: %s, %v", d, err)
	}
	write(s, ocispecs.MediaTypeImageManifest, "manifest")
	if d, err := s.Finish(); d == "" || err != nil || len(blobs(t, b.Bytes())) > 0 {
		t.Errorf("nothing new: %s, %v", d, err)
	}
}

func TestSpoilt(t *testing.T) {
	full := errors.New("disk full")
	for name, spoil := range map[string]func(*Store) error{
		"wrong bytes": func(s *Store) error {
			return content.WriteBlob(context.Background(), s, "x", strings.NewReader("other"), desc("", "right"))
		},
		"given up": func(s *Store) error {
			w, err := s.Writer(context.Background(), content.WithDescriptor(desc("", "text")))
			if err != nil {
				return err
			}
			w.Close()
			return s.err
		},
		"no room": func(s *Store) error {
			s.begin = func() (io.Writer, error) { return nil, full }
			return write(s, "", "text")
		},
	} {
		s := New(host{}, func() (io.Writer, error) { return io.Discard, nil })
		if err := spoil(s); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := write(s, ocispecs.MediaTypeImageManifest, "manifest"); err == nil {
			t.Errorf("%s: a manifest is written after it", name)
		}
		if d, err := s.Finish(); d != "" || err == nil {
			t.Errorf("%s: %s, %v", name, d, err)
		}
	}
	s := New(host{}, func() (io.Writer, error) { return io.Discard, nil })
	if _, err := s.Writer(context.Background(), content.WithDescriptor(ocispecs.Descriptor{Digest: "x"})); err == nil {
		t.Error("a blob without a digest is taken")
	}
}
