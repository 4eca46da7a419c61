package ext4

import (
	"github.com/fledge-build/fledge/internal/fstree"
)

// table is the inode table of a group.
func (p *plan) table(group uint64) []byte {
	out := make([]byte, p.inodesPerGroup*inodeSize)
	for i := range p.usedInodes(group) {
		number := uint32(group*p.inodesPerGroup + i + 1)
		b := out[i*inodeSize:][:inodeSize]
		switch {
		case number == rootInode || number >= firstInode:
			p.putInode(b, number)
		case number == resizeInode && p.reserved() > 0:
			p.putResizeInode(b)
		case number == journalInode && p.journal.blocks > 0:
			le.PutUint16(b, modeRegular|0o600)
			le.PutUint16(b[0x1a:], 1)
			p.putData(b, &p.journal, number)
		}
		le.PutUint16(b[0x80:], extraSize)
		p.seal(b, number)
	}
	return out
}

// seal writes an inode's checksum.
func (p *plan) seal(b []byte, number uint32) {
	sum := checksum(p.inodeSeed(number), b)
	quarters(b[0x7c:], b[0x82:], sum)
}

// putInode writes the inode of a node, without its checksum.
func (p *plan) putInode(b []byte, number uint32) {
	i := p.at(number)
	n := i.node
	le.PutUint16(b[0x00:], fileType(n.Type)|n.Mode)
	quarters(b[0x02:], b[0x78:], n.UID)
	quarters(b[0x18:], b[0x7a:], n.GID)
	links := n.Links
	if n.Type == fstree.Directory && links > maxLinks {
		links = 1 // more than can be told
	}
	le.PutUint16(b[0x1a:], uint16(links))
	putTimes(b, n.ModTime)
	switch n.Type {
	case fstree.CharDevice, fstree.BlockDevice:
		putDevice(b[0x28:], n)
	case fstree.Symlink:
		if i.blocks == 0 {
			copy(b[0x28:], n.Link())
			le.PutUint32(b[0x04:], uint32(i.size))
			break
		}
		p.putData(b, i, number)
	case fstree.Regular:
		p.putData(b, i, number)
	case fstree.Directory:
		p.putData(b, i, number)
		if i.blocks > 1 {
			le.PutUint32(b[0x20:], flagExtents|flagIndex)
		}
	}
	if i.xattrs != nil {
		le.PutUint32(b[0x68:], uint32(i.xattrs.place))
		le.PutUint16(b[0x76:], uint16(i.xattrs.place>>32))
		addBlocks(b, 1)
	}
	if len(i.inside) > 0 {
		le.PutUint32(b[xattrInode:], xattrMagic)
		putXattrs(b[xattrInode+4:], i.inside, 0)
	}
}

// putData writes what tells where an inode's data is.
func (p *plan) putData(b []byte, i *inode, number uint32) {
	halves(b[0x04:], b[0x6c:], i.size)
	le.PutUint32(b[0x20:], flagExtents)
	root := p.tree(i, number).root
	copy(b[0x28:], root[:])
	addBlocks(b, uint64(i.blocks)+uint64(i.nodes))
}

// addBlocks adds to the number of an inode's blocks, which counts sectors and has 48 bits.
func addBlocks(b []byte, n uint64) {
	sectors := uint64(le.Uint32(b[0x1c:])) | uint64(le.Uint16(b[0x74:]))<<32
	sectors += n * (blockSize / sectorSize)
	le.PutUint32(b[0x1c:], uint32(sectors))
	le.PutUint16(b[0x74:], uint16(sectors>>32))
}

// putTimes sets all times to the one that a layer has. Seconds have 34 bits: the lower 32 with a sign, to which the
// upper two add 2^32 each.
func putTimes(b []byte, seconds int64) {
	seconds = min(max(seconds, minTime), maxTime)
	low := int32(seconds)
	epoch := uint32((seconds-int64(low))>>32) & 3                                         // the upper 30 bits are nanoseconds
	for _, at := range [][2]int{{0x08, 0x8c}, {0x0c, 0x84}, {0x10, 0x88}, {0x90, 0x94}} { // access, change, data, birth
		le.PutUint32(b[at[0]:], uint32(low))
		le.PutUint32(b[at[1]:], epoch)
	}
}

// putDevice writes a device number: in the old form where that has room for it.
func putDevice(b []byte, n *fstree.Node) {
	major, minor := n.Device()
	if major < 256 && minor < 256 {
		le.PutUint32(b, major<<8|minor)
		return
	}
	le.PutUint32(b[4:], minor&0xff|major<<8|minor&^0xff<<12)
}

func fileType(t fstree.Type) uint16 {
	switch t {
	case fstree.Directory:
		return modeDirectory
	case fstree.Regular:
		return modeRegular
	case fstree.Symlink:
		return modeSymlink
	case fstree.BlockDevice:
		return modeBlock
	case fstree.CharDevice:
		return modeChar
	case fstree.FIFO:
		return modeFIFO
	}
	return modeSocket
}

// pointers is the number of block numbers in a block, for inodes without extents.
const pointers = blockSize / 4

// putResizeInode writes the inode that owns the blocks reserved for group descriptors: by one block of block numbers,
// whose n-th leads to the place of the n-th block of descriptors in group 0, which lists those in the other groups.
func (p *plan) putResizeInode(b []byte) {
	const doubleIndirect = 13 // of the 15 block numbers
	le.PutUint16(b, modeRegular|0o600)
	le.PutUint16(b[0x1a:], 1)
	halves(b[0x04:], b[0x6c:], (pointers*pointers+pointers+12)*blockSize) // as large as this form can be
	le.PutUint32(b[0x28+4*doubleIndirect:], uint32(p.resizeNode))
	addBlocks(b, 1+p.reserved()*uint64(1+len(p.copies())))
}

// copies are the groups with a head, but for the first.
func (p *plan) copies() (list []uint64) {
	for group := uint64(1); group < p.groups; group++ {
		if hasHead(group) {
			list = append(list, group)
		}
	}
	return list
}

// resizeBlock is the block of block numbers of the resize inode, if there is one.
func (p *plan) resizeBlock() []byte {
	b := make([]byte, p.resizeNodes()*blockSize)
	first := 1 + p.descBlocks()
	for i := range p.reserved() {
		le.PutUint32(b[4*((p.descBlocks()+i)%pointers):], uint32(first+i))
	}
	return b
}

// reservedBlock is the i-th block that group 0 has reserved for group descriptors.
func (p *plan) reservedBlock(i uint64) []byte {
	b := make([]byte, blockSize)
	for j, group := range p.copies() {
		le.PutUint32(b[4*j:], uint32(group*p.blocksPerGroup+1+p.descBlocks()+i))
	}
	return b
}

// directories counts the directories whose inodes lie in each group.
func (p *plan) directories() []uint32 {
	list := make([]uint32, p.groups)
	for i := range p.inodes {
		if p.inodes[i].node.Type == fstree.Directory {
			list[uint64(number(i)-1)/p.inodesPerGroup]++
		}
	}
	return list
}
