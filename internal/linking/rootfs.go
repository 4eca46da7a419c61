package linking

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/squashfs"
)

// RootfsOptions say how the image of a root file system is made.
type RootfsOptions struct {
	Filesystem string   // packing.Squashfs, Erofs or Ext4
	Required   []string // absolute paths of programs that must be in the image
	Jobs       int      // blocks handled at once; 0 is one a core

	Codec     codec.Spec // of squashfs and EROFS, as the packs have it
	BlockSize int        // of squashfs, in bytes
	TempDir   string     // folder for what does not fit into memory

	SizeBuffer int  // of ext4: free space in MiB, see ext4.Options
	Journal    bool // of ext4
}

// RootfsStats tell what an image holds.
type RootfsStats struct {
	Size               uint64 // of the image, in bytes
	Files, Directories int
	Detail             string   // what the file system's writer has to say beyond, for a line of text
	Warnings           []string // a line for each thing that the image could not keep
}

// Rootfs merges the packs, files by their paths, base layer first, and writes the image of a root file system to w.
func Rootfs(ctx context.Context, w io.Writer, packs []string, o RootfsOptions) (RootfsStats, error) {
	switch o.Filesystem {
	case packing.Squashfs:
		return linkSquashfs(ctx, w, packs, o)
	case packing.Erofs:
		return linkErofs(ctx, w, packs, o)
	case packing.Ext4:
		return linkExt4(ctx, w, packs, o)
	}
	return RootfsStats{}, fmt.Errorf("no packs are linked into %q", o.Filesystem)
}

func linkSquashfs(ctx context.Context, w io.Writer, packs []string, o RootfsOptions) (RootfsStats, error) {
	tree, opened, err := mergePacks(packs, o.Required, layerpack.Open)
	defer closeAll(opened)
	if err != nil {
		return RootfsStats{}, err
	}
	s, err := squashfs.Link(ctx, w, tree, opened, squashfs.Options{
		Codec: o.Codec, BlockSize: o.BlockSize, Jobs: o.Jobs, TempDir: o.TempDir,
	})
	stats := RootfsStats{Size: s.Size, Files: s.Files, Directories: s.Directories}
	stats.Detail = fmt.Sprintf("copied %d bytes of data (about %d of them dead)", s.Copied, s.Dead)
	if s.Repacked > 0 {
		stats.Detail += fmt.Sprintf(", packed %d fragment blocks again", s.Repacked)
	}
	if d := s.Dropped; d.Count > 0 {
		stats.warnf("dropped %d extended attributes, the first %q of %q: squashfs stores only those of "+
			"the namespaces user, trusted and security", d.Count, d.Name, d.Path)
	}
	if s.Clamped > 0 {
		stats.warnf("%d files have times outside of 1970 to 2106, which squashfs cannot store; "+
			"they got the nearest it can", s.Clamped)
	}
	return stats, err
}

func (s *RootfsStats) warnf(format string, args ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...))
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
