package linking

import (
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/ext4"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// Ext4Options say how an ext4 image is made. The packs may have any codec and block size.
type Ext4Options struct {
	ext4.Options
	Required []string // absolute paths of programs that must be in the image
}

// Ext4 merges the packs, files by their paths, base layer first, and writes an ext4 image to w.
func Ext4(ctx context.Context, w io.Writer, packs []string, o Ext4Options) (ext4.Stats, error) {
	tree, opened, err := mergePacks(packs, o.Required, layerpack.Open)
	defer closeAll(opened)
	if err != nil {
		return ext4.Stats{}, err
	}
	return ext4.Link(ctx, w, tree, opened, o.Options)
}

// Ext4Warnings has a line for each thing that the image could not keep.
func Ext4Warnings(s ext4.Stats) (lines []string) {
	if d := s.Dropped; d.Count > 0 {
		lines = append(lines, fmt.Sprintf("dropped %d extended attributes, the first %q of %q: ext4 stores those of the "+
			"namespaces user, trusted and security, and POSIX ACLs that Linux accepts for such a file", d.Count, d.Name, d.Path))
	}
	if s.Clamped > 0 {
		lines = append(lines, fmt.Sprintf("%d files have times outside of 1901 to 2310, which ext4 cannot store; "+
			"they got the nearest it can", s.Clamped))
	}
	return lines
}
