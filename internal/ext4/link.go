package ext4

import (
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// MaxSizeBuffer is the largest Options.SizeBuffer: 1 TiB.
const MaxSizeBuffer = 1 << 20

// Options tell how an image is made. The packs may have any codec and block size: their data is unpacked. Codec none
// makes that a copy.
type Options struct {
	SizeBuffer int  // free space in MiB; 0 is a quarter of the content, at least 64, at most 1024
	Journal    bool // with a journal, of mke2fs's size
	Jobs       int  // blocks unpacked at once; 0 is one a core. It does not change the image.
}

// Stats tell what an image holds. Sizes are in bytes.
type Stats struct {
	Size        uint64 // of the image
	Free        uint64 // of these, free blocks
	Inodes      int    // in use by the tree
	FreeInodes  uint64
	Files       int // regular files; the names of a hard link count once
	Directories int
	Clamped     int // inodes whose time is outside of 1901 to 2310, which is what ext4 holds
	Dropped     Dropped
}

// Link writes the image of tree to w, in one pass from front to back; sparsefile.New keeps its zeros from taking space.
// packs holds the layers' data, by layer number; files have holes where a pack has blocks of zeros. The image depends
// on the tree, the packs' content and block size, the size buffer and the journal alone.
func Link(ctx context.Context, w io.Writer, tree *fstree.Tree, packs []*layerpack.Reader, o Options) (Stats, error) {
	var stats Stats
	if o.SizeBuffer < 0 || o.SizeBuffer > MaxSizeBuffer {
		return stats, fmt.Errorf("size buffer of %d MiB: use 0 to %d", o.SizeBuffer, MaxSizeBuffer)
	}
	p := &plan{packs: packs, stats: &stats}
	if err := p.enumerate(tree); err != nil {
		return stats, err
	}
	if err := p.gather(); err != nil {
		return stats, err
	}
	p.identify(o)
	if err := p.sizeDirectories(); err != nil {
		return stats, err
	}
	if err := p.layOut(o); err != nil {
		return stats, err
	}
	stats.Size, stats.Free = p.total*blockSize, p.freeBlocks()*blockSize
	stats.Inodes, stats.FreeInodes = len(p.inodes), p.groups*p.inodesPerGroup-p.lastInode()
	return stats, newWriter(ctx, w, p).run(o.Jobs)
}
