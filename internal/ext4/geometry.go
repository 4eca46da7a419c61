package ext4

// resizeBlocks is how many blocks of group descriptors there is room for: those of 1 TiB.
const resizeBlocks = 128

// minLast is what the last group has at least beyond its copies of superblock and descriptors, in blocks.
const minLast = 8

// geometry is how an image is divided. Group g begins at block g × blocksPerGroup; group 0, and those whose number is a
// power of 3, 5 or 7, begin with a head: the superblock and the group descriptors, and room for more of these.
type geometry struct {
	groups         uint64
	blocksPerGroup uint64
	inodesPerGroup uint64
	total          uint64 // blocks; known once everything has its place
}

// descBlocks is the number of blocks that the group descriptors take.
func (g *geometry) descBlocks() uint64 { return ceil(g.groups, descsPerBlock) }

// reserved is the number of blocks kept for more group descriptors.
func (g *geometry) reserved() uint64 { return resizeBlocks - min(resizeBlocks, g.descBlocks()) }

// head is the number of blocks of a head.
func (g *geometry) head() uint64 { return 1 + g.descBlocks() + g.reserved() }

// hasHead tells whether a group begins with a head.
func hasHead(group uint64) bool {
	if group <= 1 {
		return true
	}
	for _, base := range []uint64{3, 5, 7} {
		n := group
		for n%base == 0 {
			n /= base
		}
		if n == 1 {
			return true
		}
	}
	return false
}

// skip is the first block from b on that lies in no head.
func (g *geometry) skip(b uint64) uint64 {
	group := b / g.blocksPerGroup
	if start := group * g.blocksPerGroup; b < start+g.head() && hasHead(group) {
		return start + g.head()
	}
	return b
}

// contiguous is how many blocks, at most n, follow b before the next head. b lies in none.
func (g *geometry) contiguous(b, n uint64) uint64 {
	for group := b/g.blocksPerGroup + 1; group*g.blocksPerGroup < b+n; group++ {
		if hasHead(group) {
			return group*g.blocksPerGroup - b
		}
	}
	return n
}

// after is the block behind n blocks from b on, heads left out.
func (g *geometry) after(b, n uint64) uint64 {
	for n > 0 {
		b = g.skip(b)
		c := g.contiguous(b, n)
		b, n = b+c, n-c
	}
	return b
}

// groupSize is the number of blocks of a group.
func (g *geometry) groupSize(group uint64) uint64 {
	return min(g.blocksPerGroup, g.total-group*g.blocksPerGroup)
}

// cursor gives out blocks from the front of the image to its end.
type cursor struct {
	g    *geometry
	next uint64
	gaps []run // left free
}

// take gives out n blocks and tells the first. They follow one another but for heads.
func (c *cursor) take(n uint64) uint64 {
	first := c.g.skip(c.next)
	if n > 0 {
		c.next = c.g.after(first, n)
	}
	return first
}

// takeContiguous gives out n blocks without a head among them.
func (c *cursor) takeContiguous(n uint64) uint64 {
	b := c.g.skip(c.next)
	for {
		free := c.g.contiguous(b, n)
		if free == n {
			c.next = b + n
			return b
		}
		c.gaps = append(c.gaps, run{b, free})
		b = c.g.skip(b + free)
	}
}

// free is the number of blocks in the gaps.
func (c *cursor) free() (n uint64) {
	for _, g := range c.gaps {
		n += g.count
	}
	return n
}
