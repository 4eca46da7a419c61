package linking

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/squashfs"
)

// RootfsOptions say how a squashfs image is made.
type RootfsOptions struct {
	Codec     codec.Spec
	BlockSize int      // in bytes
	Jobs      int      // blocks compressed at once; 0 is one a core
	TempDir   string   // folder for what does not fit into memory
	Required  []string // absolute paths of programs that must be in the image
}

// Rootfs merges the packs, files by their paths, base layer first, and writes a squashfs image to w.
func Rootfs(ctx context.Context, w io.Writer, packs []string, o RootfsOptions) (squashfs.Stats, error) {
	tree, opened, err := mergePacks(packs, o.Required, layerpack.Open)
	defer closeAll(opened)
	if err != nil {
		return squashfs.Stats{}, err
	}
	return squashfs.Link(ctx, w, tree, opened, squashfs.Options{
		Codec: o.Codec, BlockSize: o.BlockSize, Jobs: o.Jobs, TempDir: o.TempDir,
	})
}

// mergePacks opens the packs, files by their paths, and merges them. The packs that it returns have to be closed, whatever
// the error.
func mergePacks[P pack](paths, required []string, open func(string) (P, error)) (*fstree.Tree, []P, error) {
	packs, err := openAll(paths, open)
	if err != nil {
		return nil, packs, err
	}
	tree, err := mergeAll(packs, required)
	return tree, packs, err
}

// RootfsWarnings has a line for each thing that the image could not keep.
func RootfsWarnings(s squashfs.Stats) (lines []string) {
	if d := s.Dropped; d.Count > 0 {
		lines = append(lines, fmt.Sprintf("dropped %d extended attributes, the first %q of %q: squashfs stores only those of "+
			"the namespaces user, trusted and security", d.Count, d.Name, d.Path))
	}
	if s.Clamped > 0 {
		lines = append(lines, fmt.Sprintf("%d files have times outside of 1970 to 2106, which squashfs cannot store; "+
			"they got the nearest it can", s.Clamped))
	}
	return lines
}

// pack is a layer pack of any kind.
type pack interface {
	Name() string
	Entries() iter.Seq2[fstree.Entry, error]
}

// mergeAll merges the packs, base layer first, and looks for the programs that must be in the image.
func mergeAll[P pack](packs []P, required []string) (*fstree.Tree, error) {
	m := fstree.NewMerger()
	for _, p := range packs {
		if err := m.AddLayer(p.Name(), p.Entries()); err != nil {
			return nil, err
		}
	}
	tree, err := m.Tree()
	if err != nil {
		return nil, err
	}
	return tree, checkRequired(tree, required)
}

// openAll opens the packs at paths. With an error it also returns those that it opened before.
func openAll[P any](paths []string, open func(string) (P, error)) (packs []P, err error) {
	for _, path := range paths {
		p, err := open(path)
		if err != nil {
			return packs, err
		}
		packs = append(packs, p)
	}
	return packs, nil
}

func closeAll[P io.Closer](packs []P) {
	for _, p := range packs {
		p.Close()
	}
}
