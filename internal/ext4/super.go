package ext4

import "encoding/binary"

// Features of the superblock.
const (
	compatJournal     = 0x0004
	compatXattrs      = 0x0008
	compatResizeInode = 0x0010
	compatDirIndex    = 0x0020

	incompatFileType = 0x0002
	incompatExtents  = 0x0040
	incompat64Bit    = 0x0080
	incompatFlexBG   = 0x0200

	roSparseSuper  = 0x0001
	roLargeFile    = 0x0002
	roHugeFile     = 0x0008
	roDirNlink     = 0x0020
	roExtraSize    = 0x0040
	roMetadataCsum = 0x0400
)

const (
	superMagic     = 0xef53
	stateClean     = 1
	errorsContinue = 1
	mountXattrs    = 0x4
	mountACLs      = 0x8
	groupsPerFlex  = 4 // as a power of two: how the kernel places what it adds
	checksumCRC32C = 1

	groupZeroed = 0x4 // flag of a group: its inode table has been written
)

// super is the superblock as it stands in a group. Times are 0, the fixed epoch.
func (p *plan) super(group uint64) []byte {
	b := make([]byte, superSize)
	freeBlocks, freeInodes := p.freeBlocks(), p.groups*p.inodesPerGroup-p.lastInode()
	le.PutUint32(b[0x00:], uint32(p.groups*p.inodesPerGroup))
	le.PutUint32(b[0x04:], uint32(p.total))
	le.PutUint32(b[0x0c:], uint32(freeBlocks))
	le.PutUint32(b[0x10:], uint32(freeInodes))
	le.PutUint32(b[0x18:], 2) // blocks of 1024 << 2 bytes
	le.PutUint32(b[0x1c:], 2) // clusters too
	le.PutUint32(b[0x20:], uint32(p.blocksPerGroup))
	le.PutUint32(b[0x24:], uint32(p.blocksPerGroup))
	le.PutUint32(b[0x28:], uint32(p.inodesPerGroup))
	le.PutUint16(b[0x36:], 1<<16-1) // mounts before a check: any number
	le.PutUint16(b[0x38:], superMagic)
	le.PutUint16(b[0x3a:], stateClean)
	le.PutUint16(b[0x3c:], errorsContinue)
	le.PutUint32(b[0x4c:], 1) // revision
	le.PutUint32(b[0x54:], firstInode)
	le.PutUint16(b[0x58:], inodeSize)
	le.PutUint16(b[0x5a:], uint16(group))
	compat := uint32(compatXattrs | compatResizeInode | compatDirIndex)
	if p.journal.blocks > 0 {
		compat |= compatJournal
	}
	if p.reserved() == 0 {
		compat &^= compatResizeInode
	}
	le.PutUint32(b[0x5c:], compat)
	le.PutUint32(b[0x60:], incompatFileType|incompatExtents|incompat64Bit|incompatFlexBG)
	le.PutUint32(b[0x64:], roSparseSuper|roLargeFile|roHugeFile|roDirNlink|roExtraSize|roMetadataCsum)
	copy(b[0x68:], p.uuid[:])
	le.PutUint16(b[0xce:], uint16(p.reserved()))
	for i, v := range p.hashSeed {
		le.PutUint32(b[0xec+4*i:], v)
	}
	b[0xfc] = hashVersion
	le.PutUint16(b[0xfe:], descSize)
	le.PutUint32(b[0x100:], mountXattrs|mountACLs)
	if p.journal.blocks > 0 {
		p.putJournalBackup(b)
	}
	le.PutUint16(b[0x15c:], extraSize)
	le.PutUint16(b[0x15e:], extraSize)
	le.PutUint32(b[0x160:], signedHash)
	b[0x174] = groupsPerFlex
	b[0x175] = checksumCRC32C
	le.PutUint32(b[0x3fc:], checksum(^uint32(0), b[:0x3fc]))
	return b
}

// putJournalBackup writes where the journal is: its inode, and a copy of that.
func (p *plan) putJournalBackup(b []byte) {
	le.PutUint32(b[0xe0:], journalInode)
	b[0xfd] = 1 // a copy of the inode's blocks and size follows
	root := p.tree(&p.journal, journalInode).root
	copy(b[0x10c:], root[:])
	le.PutUint32(b[0x10c+60:], uint32(p.journal.size>>32))
	le.PutUint32(b[0x10c+64:], uint32(p.journal.size))
}

// freeBlocks is the number of blocks that nothing uses.
func (p *plan) freeBlocks() (n uint64) {
	for group := range p.groups {
		n += p.freeIn(group)
	}
	return n
}

// freeIn is the number of free blocks of a group.
func (p *plan) freeIn(group uint64) uint64 {
	start := group * p.blocksPerGroup
	end := start + p.groupSize(group)
	n := end - min(end, max(start, p.end))
	if first := start + p.head(); hasHead(group) && first > p.end {
		n -= first - max(start, p.end)
	}
	for _, g := range p.gaps {
		if from, to := max(g.start, start), min(g.end(), end); from < to {
			n += to - from
		}
	}
	return n
}

// blockBitmap is the bitmap of a group's blocks. What lies behind the group counts as in use.
func (p *plan) blockBitmap(group uint64) []byte {
	b := make([]byte, blockSize)
	start, size := group*p.blocksPerGroup, p.groupSize(group)
	if hasHead(group) {
		setBits(b, 0, p.head(), true)
	}
	if p.end > start {
		setBits(b, 0, min(p.end-start, size), true)
	}
	for _, g := range p.gaps {
		if from, to := max(g.start, start), min(g.end(), start+size); from < to {
			setBits(b, from-start, to-start, false)
		}
	}
	setBits(b, size, bitsPerBlock, true)
	return b
}

// inodeBitmap is the bitmap of a group's inodes.
func (p *plan) inodeBitmap(group uint64) []byte {
	b := make([]byte, blockSize)
	setBits(b, 0, p.usedInodes(group), true)
	setBits(b, p.inodesPerGroup, bitsPerBlock, true)
	return b
}

// usedInodes is the number of a group's inodes in use. They are the first.
func (p *plan) usedInodes(group uint64) uint64 {
	first := group * p.inodesPerGroup
	return min(max(p.lastInode(), first)-first, p.inodesPerGroup)
}

// setBits sets or clears the bits from up to to.
func setBits(b []byte, from, to uint64, value bool) {
	for from < to {
		if from%8 == 0 && to-from >= 8 {
			b[from/8] = 0
			if value {
				b[from/8] = 0xff
			}
			from += 8
			continue
		}
		if value {
			b[from/8] |= 1 << (from % 8)
		} else {
			b[from/8] &^= 1 << (from % 8)
		}
		from++
	}
}

// descriptors are the group descriptors, filled up to whole blocks.
func (p *plan) descriptors() []byte {
	out := make([]byte, p.descBlocks()*blockSize)
	dirs := p.directories()
	for group := range p.groups {
		d := out[group*descSize:][:descSize]
		used := p.usedInodes(group)
		halves(d[0x00:], d[0x20:], p.bitmaps[0][group])
		halves(d[0x04:], d[0x24:], p.bitmaps[1][group])
		halves(d[0x08:], d[0x28:], p.tables[group])
		quarters(d[0x0c:], d[0x2c:], uint32(p.freeIn(group)))
		quarters(d[0x0e:], d[0x2e:], uint32(p.inodesPerGroup-used))
		quarters(d[0x10:], d[0x30:], dirs[group])
		le.PutUint16(d[0x12:], groupZeroed)
		quarters(d[0x18:], d[0x38:], checksum(p.sum, p.blockBitmap(group)[:p.blocksPerGroup/8]))
		quarters(d[0x1a:], d[0x3a:], checksum(p.sum, p.inodeBitmap(group)[:p.inodesPerGroup/8]))
		quarters(d[0x1c:], d[0x32:], uint32(p.inodesPerGroup-used)) // never used, at the end of the table
		le.PutUint16(d[0x1e:], uint16(checksum(seedOf(p.sum, uint32(group)), d)))
	}
	return out
}

// halves writes a number whose halves lie apart.
func halves(low, high []byte, v uint64) {
	le.PutUint32(low, uint32(v))
	le.PutUint32(high, uint32(v>>32))
}

func quarters(low, high []byte, v uint32) {
	le.PutUint16(low, uint16(v))
	le.PutUint16(high, uint16(v>>16))
}

// journalHead is the first block of an empty journal (jbd2, whose numbers are big endian). The others are zeros.
func (p *plan) journalHead() []byte {
	b := make([]byte, blockSize)
	be := binary.BigEndian
	be.PutUint32(b[0x00:], 0xc03b3998)
	be.PutUint32(b[0x04:], 4) // superblock, version 2
	be.PutUint32(b[0x0c:], blockSize)
	be.PutUint32(b[0x10:], p.journal.blocks)
	be.PutUint32(b[0x14:], 1) // first block of the log
	be.PutUint32(b[0x18:], 1) // first number of a transaction
	copy(b[0x30:], p.uuid[:])
	be.PutUint32(b[0x40:], 1) // file systems that use it
	return b
}
