package linking

import (
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/erofs"
	"github.com/fledge-build/fledge/internal/erofspack"
)

func linkErofs(ctx context.Context, w io.Writer, packs []string, o RootfsOptions) (RootfsStats, error) {
	tree, opened, err := mergePacks(packs, o.Required, erofspack.Open)
	defer closeAll(opened)
	if err != nil {
		return RootfsStats{}, err
	}
	s, err := erofs.Link(ctx, w, tree, opened, erofs.Options{Codec: o.Codec})
	stats := RootfsStats{Size: s.Size, Files: s.Files, Directories: s.Directories}
	stats.Detail = fmt.Sprintf("copied %d bytes of data, left out %d that are there already", s.Copied, s.Shared)
	if d := s.Dropped; d.Count > 0 {
		stats.warnf("dropped %d extended attributes, the first %q of %q: erofs stores those of the "+
			"namespaces user, trusted and security, and POSIX ACLs that Linux accepts for such a file", d.Count, d.Name, d.Path)
	}
	return stats, err
}
