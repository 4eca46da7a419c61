package ext4

const (
	extentMagic   = 0xf30a
	extentSize    = 12 // of a header, an extent and an index entry
	rootExtents   = 4  // that fit into an inode
	blockExtents  = (blockSize - extentSize - 4) / extentSize
	maxExtent     = 1 << 15 // blocks
	extentTailAt  = extentSize + blockExtents*extentSize
	inodeDataSize = 60 // of i_block
)

// segment is a part of a file that has data: count blocks from block logical of the file on.
type segment struct{ logical, count uint32 }

// extent is a segment that lies in one piece.
type extent struct {
	logical uint32
	count   uint32
	start   uint64
}

// extents calls yield for each extent of data that begins at start, until it returns false.
func (g *geometry) extents(segments []segment, start uint64, yield func(extent) bool) {
	for _, s := range segments {
		for s.count > 0 {
			start = g.skip(start)
			n := uint32(g.contiguous(start, uint64(min(s.count, maxExtent))))
			if !yield(extent{s.logical, n, start}) {
				return
			}
			s.logical, s.count, start = s.logical+n, s.count-n, start+uint64(n)
		}
	}
}

// treeSize is the number of blocks that a tree of n extents has besides its root.
func treeSize(n uint64) (blocks uint64) {
	for n > rootExtents {
		n = ceil(n, blockExtents)
		blocks += n
	}
	return blocks
}

// tree is an extent tree in its form on disk.
type tree struct {
	root   [inodeDataSize]byte
	blocks [][]byte // the leaves first, each level before the one above it
}

// newTree makes the tree of an inode, whose blocks besides the root begin at place. seed is the inode's.
func newTree(g *geometry, list []extent, place uint64, seed uint32) *tree {
	t := &tree{}
	var level []node
	for _, e := range list {
		level = append(level, node{e.logical, e})
	}
	depth := uint16(0)
	for ; len(level) > rootExtents; depth++ {
		var above []node
		for len(level) > 0 {
			n := min(len(level), blockExtents)
			place = g.skip(place)
			b := make([]byte, blockSize)
			putNodes(b, level[:n], blockExtents, depth)
			le.PutUint32(b[extentTailAt:], checksum(seed, b[:extentTailAt]))
			t.blocks = append(t.blocks, b)
			above = append(above, node{level[0].logical, extent{start: place}})
			place++
			level = level[n:]
		}
		level = above
	}
	putNodes(t.root[:], level, rootExtents, depth)
	return t
}

// node is an entry of a tree's block: an extent, or the block of nodes that begins at extent.start.
type node struct {
	logical uint32
	extent  extent
}

// putNodes writes a header and the nodes at depth levels above the leaves.
func putNodes(b []byte, list []node, most, depth uint16) {
	le.PutUint16(b, extentMagic)
	le.PutUint16(b[2:], uint16(len(list)))
	le.PutUint16(b[4:], most)
	le.PutUint16(b[6:], depth)
	for i, n := range list {
		e, start := b[extentSize*(i+1):], n.extent.start
		le.PutUint32(e, n.logical)
		if depth == 0 {
			le.PutUint16(e[4:], uint16(n.extent.count)) // 32768 is a whole extent that is written
			le.PutUint16(e[6:], uint16(start>>32))
			le.PutUint32(e[8:], uint32(start))
			continue
		}
		le.PutUint32(e[4:], uint32(start))
		le.PutUint16(e[8:], uint16(start>>32))
	}
}
