package linking

import (
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/ext4"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// linkExt4 takes packs of any codec and block size.
func linkExt4(ctx context.Context, w io.Writer, packs []string, o RootfsOptions) (RootfsStats, error) {
	tree, opened, err := mergePacks(packs, o.Required, layerpack.Open)
	defer closeAll(opened)
	if err != nil {
		return RootfsStats{}, err
	}
	s, err := ext4.Link(ctx, w, tree, opened, ext4.Options{SizeBuffer: o.SizeBuffer, Journal: o.Journal, Jobs: o.Jobs})
	stats := RootfsStats{Size: s.Size, Files: s.Files, Directories: s.Directories}
	stats.Detail = fmt.Sprintf("%d bytes and %d inodes are free", s.Free, s.FreeInodes)
	if d := s.Dropped; d.Count > 0 {
		stats.warnf("dropped %d extended attributes, the first %q of %q: ext4 stores those of the "+
			"namespaces user, trusted and security, and POSIX ACLs that Linux accepts for such a file", d.Count, d.Name, d.Path)
	}
	if s.Clamped > 0 {
		stats.warnf("%d files have times outside of 1901 to 2310, which ext4 cannot store; "+
			"they got the nearest it can", s.Clamped)
	}
	return stats, err
}
