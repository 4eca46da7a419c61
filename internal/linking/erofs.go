package linking

import (
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/erofs"
	"github.com/fledge-build/fledge/internal/erofspack"
)

// ErofsOptions say how an EROFS image is made.
type ErofsOptions struct {
	Codec    codec.Spec // lz4 or none
	Required []string   // absolute paths of programs that must be in the image
}

// Erofs merges the packs, files by their paths, base layer first, and writes an EROFS image to w.
func Erofs(ctx context.Context, w io.Writer, packs []string, o ErofsOptions) (erofs.Stats, error) {
	tree, opened, err := mergePacks(packs, o.Required, erofspack.Open)
	defer closeAll(opened)
	if err != nil {
		return erofs.Stats{}, err
	}
	return erofs.Link(ctx, w, tree, opened, erofs.Options{Codec: o.Codec})
}

// ErofsWarnings has a line for each thing that the image could not keep.
func ErofsWarnings(s erofs.Stats) (lines []string) {
	if d := s.Dropped; d.Count > 0 {
		lines = append(lines, fmt.Sprintf("dropped %d extended attributes, the first %q of %q: erofs stores only those of "+
			"the namespaces user, trusted and security, and access control lists", d.Count, d.Name, d.Path))
	}
	return lines
}
