package inputs

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// store serves the blobs of OCI layouts in the archive. BuildKit only reads from it.
type store struct {
	content.Store // nil: what is not below is never asked for
	ix            *index
	roots         []string // where a blob may be
}

func (s *store) blob(d digest.Digest) (*node, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("%w: digest %q: %w", errdefs.ErrInvalidArgument, d, err)
	}
	for _, root := range s.roots {
		if n := s.ix.nodes[path.Join(root, "blobs", d.Algorithm().String(), d.Encoded())]; n != nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("blob %s is not in %s: %w", d, strings.Join(s.roots, ", "), errdefs.ErrNotFound)
}

// Info implements content.InfoProvider.
func (s *store) Info(_ context.Context, d digest.Digest) (content.Info, error) {
	n, err := s.blob(d)
	if err != nil {
		return content.Info{}, err
	}
	return content.Info{Digest: d, Size: n.size}, nil
}

// ReaderAt implements content.Provider.
func (s *store) ReaderAt(_ context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	n, err := s.blob(desc.Digest)
	if err != nil {
		return nil, err
	}
	return section{io.NewSectionReader(s.ix.r, n.off, n.size)}, nil
}

// section is a content.ReaderAt.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }
