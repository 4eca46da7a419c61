package erofs

import (
	"bufio"
	"fmt"
	"math/bits"

	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// fileMode is the mode of a node with the bits of its type.
func fileMode(n *fstree.Node) uint16 {
	switch n.Type {
	case fstree.Regular:
		return n.Mode | 0o100000
	case fstree.Directory:
		return n.Mode | 0o040000
	case fstree.Symlink:
		return n.Mode | 0o120000
	case fstree.CharDevice:
		return n.Mode | 0o020000
	case fstree.BlockDevice:
		return n.Mode | 0o060000
	case fstree.FIFO:
		return n.Mode | 0o010000
	}
	return n.Mode | 0o140000
}

// union is the field of an inode whose meaning depends on type and layout.
func (img *image) union(in *inode, s *shape) uint32 {
	switch {
	case in.node.Type == fstree.CharDevice || in.node.Type == fstree.BlockDevice:
		major, minor := in.node.Device()
		return minor&0xff | major<<8 | minor&^0xff<<12
	case s.layout == layoutCompressed:
		return s.content.Blocks
	case s.layout == layoutChunked:
		return uint32(bits.TrailingZeros64(erofspack.ChunkBlocks(s.size)))
	case s.pack != nil && s.content.Blocks > 0:
		return s.block
	case s.ownBlocks() > 0:
		return uint32(img.dirsAt) + in.block
	}
	return noBlock
}

// encodeInode makes the inode with the index i.
func (img *image) encodeInode(i uint32, s *shape) []byte {
	in := &img.inodes[i]
	n := in.node
	format := uint16(s.layout) << 1
	icount := uint16(0)
	if len(s.xattrs) > 0 {
		icount = uint16((len(s.xattrs)-xattrHeaderSize)/4 + 1)
	}
	if s.inode == extendedSize {
		format |= 1
	}
	b := le.AppendUint16(make([]byte, 0, extendedSize), format)
	b = le.AppendUint16(b, icount)
	b = le.AppendUint16(b, fileMode(n))
	if s.inode == compactSize {
		b = le.AppendUint16(b, uint16(n.Links))
		b = le.AppendUint32(b, uint32(s.size))
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, img.union(in, s))
		b = le.AppendUint32(b, i+1)
		b = le.AppendUint16(b, uint16(n.UID))
		b = le.AppendUint16(b, uint16(n.GID))
		return le.AppendUint32(b, 0)
	}
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, s.size)
	b = le.AppendUint32(b, img.union(in, s))
	b = le.AppendUint32(b, i+1)
	b = le.AppendUint32(b, n.UID)
	b = le.AppendUint32(b, n.GID)
	b = le.AppendUint64(b, uint64(n.ModTime))
	b = le.AppendUint32(b, 0) // nanoseconds
	b = le.AppendUint32(b, n.Links)
	return b[:extendedSize]
}

// writeInode writes an inode and what lies behind it.
func (img *image) writeInode(w *bufio.Writer, i uint32, s *shape) error {
	w.Write(img.encodeInode(i, s))
	w.Write(s.xattrs)
	switch s.layout {
	case layoutCompressed:
		w.Write(make([]byte, -(s.inode+uint64(len(s.xattrs)))%8))
		writeIndex(w, &s.content, s.block)
	case layoutChunked:
		writeChunks(w, &s.content, s.block)
	}
	if s.tail == 0 {
		return nil
	}
	var tail []byte
	switch n := img.inodes[i].node; {
	case s.pack != nil:
		var err error
		if tail, err = s.pack.AppendTail(nil, &s.content); err != nil {
			return err
		}
	case n.Type == fstree.Directory:
		blocks := cutDirents(img.dirents(i))
		tail = img.encodeDirents(blocks[len(blocks)-1])
	default:
		tail = []byte(n.Link())
	}
	if uint64(len(tail)) != s.tail {
		return fmt.Errorf("%d bytes where %d were planned", len(tail), s.tail)
	}
	_, err := w.Write(tail)
	return err
}

// writeChunks writes the block number of each chunk.
func writeChunks(w *bufio.Writer, c *erofspack.Content, block uint32) {
	chunk := uint32(erofspack.ChunkBlocks(c.Size))
	var b [chunkMapEntry]byte
	for _, e := range c.Extents {
		for range e.Length {
			le.PutUint32(b[:], noBlock)
			if e.Kind == erofspack.Data {
				le.PutUint32(b[:], block)
				block += chunk
			}
			w.Write(b[:])
		}
	}
}

// index writes the index of a compressed file: an entry for each 4 KiB of it.
type index struct {
	w    *bufio.Writer
	at   uint64 // byte of the file that the next extent begins with
	next uint64 // 4 KiB of the file that the next entry is about
}

func writeIndex(w *bufio.Writer, c *erofspack.Content, block uint32) {
	advise := uint16(adviseBigCluster)
	if c.Tail > 0 {
		advise |= adviseInline
	}
	b := le.AppendUint16(make([]byte, 2, mapHeaderSize), uint16(c.Tail))
	b = le.AppendUint16(b, advise)
	w.Write(b[:mapHeaderSize])
	x := &index{w: w}
	for _, e := range c.Extents {
		if e.Kind == erofspack.Compressed {
			x.extent(clusterHead, uint64(e.Length), block, uint16(e.Blocks))
			block += uint32(e.Blocks)
			continue
		}
		for left := uint64(e.Length); left > 0; { // a cluster that is not compressed has one block
			n := min(left, blockSize)
			x.extent(clusterPlain, n, block, 1)
			left -= n
			block++
		}
	}
	if x.next*blockSize < c.Size { // what is left of the last extent, up to the end of the file
		x.entry(clusterPlain, uint16(c.Size%blockSize), 0)
	}
}

// entry writes one entry; value is a block number or two distances.
func (x *index) entry(kind, offset uint16, value uint32) {
	b := le.AppendUint16(make([]byte, 0, indexSize), kind)
	b = le.AppendUint32(le.AppendUint16(b, offset), value)
	x.w.Write(b)
	x.next++
}

// extent writes the entries of an extent up to where the next one begins.
func (x *index) extent(kind uint16, length uint64, block uint32, blocks uint16) {
	head := x.at / blockSize
	x.entry(kind, uint16(x.at%blockSize), block)
	x.at += length
	for end := x.at / blockSize; x.next < end; {
		before := min(x.next-head, maxDistance)
		if before == 1 {
			before = uint64(blocks) | blockCountMark
		}
		x.entry(clusterNonHead, 0, uint32(before)|uint32(min(end-x.next, 1<<16-1))<<16)
	}
}
