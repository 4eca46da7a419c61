package erofs

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// Options tell how an image is linked.
type Options struct {
	Codec codec.Spec // lz4 or none, as the packs have it
}

// Stats tell what an image holds. Sizes are in bytes.
type Stats struct {
	Size        uint64 // of the image
	Inodes      int
	Files       int // regular files; the names of a hard link count once
	Directories int
	Copied      uint64 // blocks copied from the packs
	Shared      uint64 // uncompressed size of files that an earlier pack has too
	Dropped     Dropped
}

// Link writes the image of tree to w, in one pass from front to back. packs holds the layers' data, by layer number.
// The image depends on the tree, the packs and the codec alone.
func Link(ctx context.Context, w io.Writer, tree *fstree.Tree, packs []*erofspack.Reader, o Options) (Stats, error) {
	stats := Stats{Inodes: tree.Inodes}
	if err := erofspack.CheckCodec(o.Codec); err != nil {
		return stats, err
	}
	for _, p := range packs {
		if p.Codec() != o.Codec {
			return stats, fmt.Errorf("layer pack %s is made with %s, the image with %s; "+
				"pack the layer with the image's settings", p.Name(), p.Codec(), o.Codec)
		}
	}
	img := &image{
		ctx: ctx, stats: &stats, data: newData(packs, &stats), linked: map[*fstree.Node]uint32{},
		xattrs: xattrs{uses: map[string]int{}, shared: map[string]uint32{}},
	}
	if err := img.number(tree); err != nil {
		return stats, err
	}
	if err := img.survey(); err != nil {
		return stats, err
	}
	if err := img.layOut(); err != nil {
		return stats, err
	}
	stats.Size = img.end * blockSize
	if _, err := w.Write(img.superblock(o.Codec).encode()); err != nil {
		return stats, err
	}
	if err := img.data.writeTo(ctx, w); err != nil {
		return stats, err
	}
	out := bufio.NewWriterSize(w, copySize)
	out.Write(img.xattrs.table) // the first error sticks
	if err := img.writeInodes(out); err != nil {
		return stats, err
	}
	if err := img.writeBlocks(out); err != nil {
		return stats, err
	}
	return stats, out.Flush()
}

func (img *image) superblock(spec codec.Spec) *superblock {
	s := &superblock{
		rootSlot: uint16(img.inodes[0].slot), inodes: uint64(len(img.inodes)), time: img.time,
		blocks: uint32(img.end), inodesAt: uint32(img.inodesAt), xattrAt: uint32(img.xattrAt),
		uuid: img.uuid, compressed: spec.Name != "none",
	}
	if s.compressed {
		s.incompat = incompatZeroPadding | incompatComprConfigs | incompatTailPacking
	}
	if img.chunked {
		s.incompat |= incompatChunked
	}
	return s
}

// writeInodes writes the inodes in the order of their slots, and zeros between them.
func (img *image) writeInodes(w *bufio.Writer) error {
	order := make([]uint32, len(img.inodes))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Compare(img.inodes[a].slot, img.inodes[b].slot) })
	at := uint64(0)
	for _, i := range order {
		if err := img.ctx.Err(); err != nil {
			return err
		}
		s, err := img.describe(i)
		if err != nil {
			return img.fail(i, err)
		}
		start := uint64(img.inodes[i].slot) * slotSize
		if err := fill(w, start-at); err != nil {
			return err
		}
		if err := img.writeInode(w, i, &s); err != nil {
			return img.fail(i, err)
		}
		at = start + s.head() + s.tail
	}
	return fill(w, img.space.end*slotSize-at)
}

// fill writes less than a few blocks of zeros.
func fill(w io.Writer, n uint64) error {
	_, err := w.Write(make([]byte, n))
	return err
}

// writeBlocks writes the blocks of directories and symlinks.
func (img *image) writeBlocks(w *bufio.Writer) error {
	for i := range img.inodes {
		if t := img.inodes[i].node.Type; t != fstree.Directory && t != fstree.Symlink {
			continue
		}
		s, err := img.describe(uint32(i))
		if err != nil {
			return img.fail(uint32(i), err)
		}
		blocks := [][]byte{}
		if s.ownBlocks() == 0 {
			continue
		} else if link := img.inodes[i].node.Link(); link != "" {
			blocks = append(blocks, []byte(link))
		} else {
			for _, list := range cutDirents(img.dirents(uint32(i)))[:s.ownBlocks()] {
				blocks = append(blocks, img.encodeDirents(list))
			}
		}
		for _, b := range blocks {
			if _, err := w.Write(pad(b, blockSize)); err != nil {
				return err
			}
		}
	}
	return nil
}
