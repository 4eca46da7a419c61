package ext4

import (
	"fmt"

	"github.com/fledge-build/fledge/internal/fstree"
)

// A size buffer of 0 is a quarter of the content, within these limits in MiB.
const (
	minBuffer = 64
	maxBuffer = 1024
)

// BufferSize is the free space in bytes that a size buffer in MiB stands for, beside so many bytes of content: 0 is a quarter
// of the content, at least 64 MiB, at most 1024.
func BufferSize(sizeBuffer int, content uint64) uint64 {
	if sizeBuffer == 0 {
		return min(max(content/4, minBuffer<<20), maxBuffer<<20)
	}
	return uint64(sizeBuffer) << 20
}

// bytesPerInode is the free space for which there is a free inode, as mke2fs has it.
const bytesPerInode = 16384

// layOut gives everything its place. The number of groups depends on what is in the image, and the other way round: it
// grows until both fit.
func (p *plan) layOut(o Options) error {
	content := p.content()
	buffer := BufferSize(o.SizeBuffer, content*blockSize) / blockSize
	inodes := p.lastInode() + buffer*blockSize/bytesPerInode
	size := content + buffer + ceil(inodes, inodesPerBlock)
	if o.Journal {
		p.journal.blocks = journalBlocks(size)
		p.journal.size = uint64(p.journal.blocks) * blockSize
		size += uint64(p.journal.blocks)
	}
	if size > maxBlocks-maxBlocks/16 || inodes > maxInodes {
		return fmt.Errorf("the image would have %d blocks of %d bytes and %d inodes, more than an ext4 image of Fledge can have; "+
			"make its content or the size buffer smaller", size, blockSize, inodes)
	}
	p.blocksPerGroup = bitsPerBlock
	p.groups = ceil(size, bitsPerBlock)
	if least := ceil(inodes, bitsPerBlock); p.groups < least {
		// Many inodes with little data need more groups for their bitmaps: smaller ones.
		p.groups, p.blocksPerGroup = least, size/least&^7
	}
	for {
		p.inodesPerGroup = ceil(ceil(inodes, p.groups), inodesPerBlock) * inodesPerBlock
		end := p.place(buffer)
		last := end / p.blocksPerGroup * p.blocksPerGroup
		if least := minLast + p.head(); end > last && end < last+least {
			end = last + least
		}
		groups := ceil(end, p.blocksPerGroup)
		if groups <= p.groups {
			p.total = max(end, (p.groups-1)*p.blocksPerGroup+minLast+p.head())
			return nil
		}
		p.groups = groups
	}
}

// content is the number of blocks that files, directories and attributes take.
func (p *plan) content() (n uint64) {
	for i := range p.inodes {
		n += uint64(p.inodes[i].blocks)
	}
	return n + uint64(len(p.xattrs.list))
}

// place gives everything its place with the current number of groups, and returns where the image ends with so many
// free blocks.
func (p *plan) place(free uint64) (end uint64) {
	c := &cursor{g: &p.geometry}
	p.tables = p.tables[:0]
	for i := range p.bitmaps {
		p.bitmaps[i] = p.bitmaps[i][:0]
		for range p.groups {
			p.bitmaps[i] = append(p.bitmaps[i], c.take(1))
		}
	}
	for range p.groups {
		p.tables = append(p.tables, c.takeContiguous(p.inodesPerGroup/inodesPerBlock))
	}
	p.resizeNode = c.take(p.resizeNodes())
	p.placeData(c, &p.journal)
	for _, x := range p.xattrs.list {
		x.place = c.take(1)
	}
	for i := range p.inodes {
		if p.inodes[i].node.Type != fstree.Regular {
			p.placeData(c, &p.inodes[i])
		}
	}
	for _, f := range p.files {
		p.placeData(c, &p.inodes[f.inode])
	}
	p.end, p.gaps = c.next, c.gaps
	c.take(free - min(free, c.free()))
	return c.next
}

// resizeNodes is the number of blocks that the resize inode has of its own: none when there is no such inode.
func (p *plan) resizeNodes() uint64 { return min(1, p.reserved()) }

// placeData gives an inode's data its place, and the blocks of its extent tree one behind it.
func (p *plan) placeData(c *cursor, i *inode) {
	if i.blocks == 0 {
		return
	}
	i.start = c.take(uint64(i.blocks))
	n := uint64(0)
	p.extents(i.segments(), i.start, func(extent) bool { n++; return true })
	i.nodes = uint32(treeSize(n))
	if i.nodes > 0 {
		i.tree = c.take(uint64(i.nodes))
	}
}

// tree is the extent tree of the inode with a number.
func (p *plan) tree(i *inode, number uint32) *tree {
	var list []extent
	p.extents(i.segments(), i.start, func(e extent) bool { list = append(list, e); return true })
	return newTree(&p.geometry, list, i.tree, p.inodeSeed(number))
}

// inodeSeed is the start of an inode's checksums. Its generation is 0.
func (p *plan) inodeSeed(number uint32) uint32 { return seedOf(seedOf(p.sum, number), 0) }

// journalBlocks is the size of a journal for an image of n blocks, as mke2fs has it for blocks of 4 KiB.
func journalBlocks(n uint64) uint32 {
	for _, step := range []struct {
		below uint64
		size  uint32
	}{
		{32 << 10, 1 << 10}, {256 << 10, 4 << 10}, {512 << 10, 8 << 10}, {4 << 20, 16 << 10}, {8 << 20, 32 << 10},
		{16 << 20, 64 << 10}, {32 << 20, 128 << 10},
	} {
		if n < step.below {
			return step.size
		}
	}
	return 256 << 10
}
