package squashfs

import (
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// Options tell how an image is linked. Codec and BlockSize must be those of the packs.
type Options struct {
	Codec     codec.Spec
	BlockSize int    // in bytes
	Jobs      int    // blocks compressed at once; 0 is one a core. It does not change the image.
	TempDir   string // for a nameless file when fragment blocks are packed again; "" is os.TempDir()
}

// Stats tell what an image holds. Sizes are in bytes.
type Stats struct {
	Size        uint64 // of the image
	Inodes      int
	Files       int // regular files; the names of a hard link count once
	Directories int
	Copied      uint64 // compressed data copied from the packs
	Dead        uint64 // of these, an estimate of what belongs to files that are not in the image
	Shared      uint64 // uncompressed size of files that an earlier pack has too
	Repacked    int    // fragment blocks that were packed again, to leave dead data out
	Clamped     int    // inodes whose time is outside of 1970 to 2106, which is all that squashfs can hold
	Dropped     Dropped
}

// Link writes the image of tree to w, in one pass from front to back. packs holds the layers' data, by layer number.
// The image depends on the tree, the packs, the codec and the block size alone.
func Link(ctx context.Context, w io.Writer, tree *fstree.Tree, packs []*layerpack.Reader, o Options) (Stats, error) {
	var stats Stats
	if err := codec.CheckBlockSize(o.BlockSize); err != nil {
		return stats, err
	}
	for _, p := range packs {
		if p.Codec() != o.Codec || p.BlockSize() != o.BlockSize {
			return stats, fmt.Errorf("layer pack %s has blocks of %d bytes with %s, the image blocks of %d with %s; "+
				"pack the layer with the image's settings", p.File().Name(), p.BlockSize(), p.Codec(), o.BlockSize, o.Codec)
		}
	}
	head := make([]byte, superblockSize)
	if options := o.Codec.Options(o.BlockSize); options != nil {
		head = append(le.AppendUint16(head, uint16(len(options))|storedBit), options...)
	}
	plan, err := newPlan(tree, packs, uint64(len(head)), o, &stats)
	if err != nil {
		return stats, err
	}
	defer plan.repacked.close()
	workers, err := newPool(o.Codec, metadataSize, o.Jobs)
	if err != nil {
		return stats, err
	}
	defer workers.close()
	img := newImage(ctx, plan, workers, o.BlockSize)
	if err := img.describe(tree); err != nil {
		return stats, err
	}
	super, err := img.layOut()
	if err != nil {
		return stats, err
	}
	super.compressor = o.Codec.ID()
	super.flags |= flags(o.Codec, plan, img.xattrs)
	copy(head, super.encode())
	stats.Size = (super.used + padding - 1) / padding * padding
	stats.Inodes, stats.Dropped = tree.Inodes, img.xattrs.dropped
	if _, err := w.Write(head); err != nil {
		return stats, err
	}
	if err := plan.writeTo(ctx, w); err != nil {
		return stats, err
	}
	if err := img.writeTo(w); err != nil {
		return stats, err
	}
	_, err = w.Write(make([]byte, stats.Size-super.used))
	return stats, err
}

func flags(spec codec.Spec, p *plan, x *xattrs) uint16 {
	f := uint16(flagDuplicates | flagExportable)
	if spec.Name == "none" {
		f |= flagRawInodes | flagRawData | flagRawFragments | flagRawXattrs | flagRawIDs
	}
	if len(p.fragments) == 0 {
		f |= flagNoFragments
	}
	if len(x.sets) == 0 {
		f |= flagNoXattrs
	}
	if p.start > superblockSize {
		f |= flagCompressorOpt
	}
	return f
}

// copySize is how much is copied at a time.
const copySize = 1 << 20

// writeTo copies the data section.
func (p *plan) writeTo(ctx context.Context, w io.Writer) error {
	buf := make([]byte, copySize)
	for _, r := range p.runs {
		for r.size > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			b := buf[:min(copySize-r.offset%copySize, r.size)]
			if _, err := p.packs[r.pack].ReadAt(b, int64(r.offset)); err != nil {
				return fmt.Errorf("layer pack %s: %w", p.packs[r.pack].File().Name(), err)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
			r.offset, r.size = r.offset+uint64(len(b)), r.size-uint64(len(b))
		}
	}
	if p.repacked == nil {
		return nil
	}
	return p.repacked.writeTo(w)
}
