package fill

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// xfsFixer takes out of a filled xfs what differs between runs: the log, sequence numbers of the log, generation numbers,
// which are random, and times of creation and change. Nothing of the tree's depends on these.
//
// All metadata of xfs says what it is, to which file system it belongs and where it should be (XFS Algorithms & Data
// Structures, "Self Describing Metadata"), so that it is found without the trees that lead to it. That data of a file looks
// like it cannot be: the UUID is a hash of the data.
type xfsFixer struct {
	uuid               []byte
	agBlocks           uint64 // blocks of an allocation group
	agShift, inoShift  uint   // bits of a block's number in its group, of an inode's in its block
	logStart, logEnd   int64  // in the image
	log                []byte // that of mkfs; what follows is zeros
	bitmapIno, summIno uint64 // inodes of the file system itself, whose times are mkfs's
}

const (
	xfsSector = 512
	xfsBlock  = 4096 // as mkfs is told
	xfsMagic  = "XFSB"
	xfsInode  = "IN"
)

// xfsObject is a kind of metadata, and where it has what.
type xfsObject struct {
	magic   string
	magicAt int
	size    int
	crc     int
	lsn     int
	uuid    int
	address int // in sectors; 0 for those that have none
}

var xfsObjects = []xfsObject{
	{xfsMagic, 0, xfsSector, 224, 240, 32, 0}, // superblock
	{"XAGF", 0, xfsSector, 216, 208, 64, 0},
	{"XAGI", 0, xfsSector, 312, 320, 296, 0},
	{"XAFL", 0, xfsSector, 32, 24, 8, 0},
	{"AB3B", 0, xfsBlock, 52, 24, 32, 16}, // trees of an allocation group: free space by block, by size, inodes, free inodes,
	{"AB3C", 0, xfsBlock, 52, 24, 32, 16}, // shared blocks
	{"IAB3", 0, xfsBlock, 52, 24, 32, 16},
	{"FIB3", 0, xfsBlock, 52, 24, 32, 16},
	{"R3FC", 0, xfsBlock, 52, 24, 32, 16},
	{"BMA3", 0, xfsBlock, 64, 32, 40, 24}, // extents of a file
	{"XDB3", 0, xfsBlock, 4, 16, 24, 8},   // directories: entries, free space
	{"XDD3", 0, xfsBlock, 4, 16, 24, 8},
	{"XDF3", 0, xfsBlock, 4, 16, 24, 8},
	{"\x3d\xf1", 8, xfsBlock, 12, 24, 32, 16}, // hashes of names in directories and attributes, and attributes
	{"\x3d\xff", 8, xfsBlock, 12, 24, 32, 16},
	{"\x3e\xbe", 8, xfsBlock, 12, 24, 32, 16},
	{"\x3b\xee", 8, xfsBlock, 12, 24, 32, 16},
	{"XSLM", 0, xfsBlock, 12, 48, 16, 40}, // symlink
	{xfsInode, 0, xfsSector, 100, 112, 160, 0},
}

// Places in an inode.
const (
	xfsModeAt       = 2
	xfsVersionAt    = 4
	xfsAtimeAt      = 32
	xfsMtimeAt      = 40
	xfsCtimeAt      = 48
	xfsGenerationAt = 92
	xfsChangesAt    = 104
	xfsFlags2At     = 120
	xfsCrtimeAt     = 144
	xfsNumberAt     = 152
	xfsForksAt      = 176 // extents of the data and, from an offset on, of the attributes, or these themselves

	xfsExtents    = 2 // format of a fork: a list of extents
	xfsExtentSize = 16
	xfsBigCounts  = 1 << 4        // flag: the numbers of extents have more bits, and other places
	xfsBigtime    = 1 << 3        // flag: times are nanoseconds since 1901
	xfsEpoch      = 1 << 31 * 1e9 // 1970 so
)

// newXFSFixer reads what mkfs made.
func newXFSFixer(f *os.File) (fixer, error) {
	b := make([]byte, xfsSector)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	be := binary.BigEndian
	if string(b[:4]) != xfsMagic || be.Uint32(b[4:]) != xfsBlock || be.Uint16(b[102:]) != xfsSector || be.Uint16(b[104:]) != xfsSector {
		return nil, errors.New("it did not make an xfs with blocks of 4096 bytes, sectors and inodes of 512")
	}
	x := &xfsFixer{
		uuid: bytes.Clone(b[32:48]), agBlocks: uint64(be.Uint32(b[84:])), inoShift: uint(b[123]), agShift: uint(b[124]),
		bitmapIno: be.Uint64(b[64:]), summIno: be.Uint64(b[72:]),
	}
	start := be.Uint64(b[48:])
	x.logStart = int64(start>>x.agShift*x.agBlocks+start&(1<<x.agShift-1)) * xfsBlock
	x.log = make([]byte, int64(be.Uint32(b[96:]))*xfsBlock)
	x.logEnd = x.logStart + int64(len(x.log))
	if _, err := f.ReadAt(x.log, x.logStart); err != nil {
		return nil, err
	}
	x.log = bytes.Clone(bytes.TrimRight(x.log, "\x00"))
	return x, nil
}

// fix changes a piece of the image, which begins at the offset at. Both are multiples of a block.
func (x *xfsFixer) fix(b []byte, at int64) {
	for i := 0; i < len(b); i += xfsBlock {
		block, at := b[i:i+xfsBlock], at+int64(i)
		if at >= x.logStart && at < x.logEnd {
			clear(block)
			copy(block, x.log[min(int64(len(x.log)), at-x.logStart):])
			continue
		}
		for sector := 0; sector < xfsBlock; sector += xfsSector {
			x.fixSector(block[sector:], at+int64(sector))
		}
	}
}

// fixSector looks at what begins at a sector; b is the rest of its block.
func (x *xfsFixer) fixSector(b []byte, at int64) {
	for _, o := range xfsObjects {
		if !bytes.HasPrefix(b[o.magicAt:], []byte(o.magic)) || o.size > len(b) || !bytes.Equal(b[o.uuid:o.uuid+16], x.uuid) {
			continue
		}
		if o.address > 0 && binary.BigEndian.Uint64(b[o.address:]) != uint64(at/xfsSector) {
			continue
		}
		if o.magic == xfsInode {
			if b[xfsVersionAt] != 3 || binary.BigEndian.Uint64(b[xfsNumberAt:]) != x.inode(at) {
				continue
			}
			x.fixInode(b)
		}
		clear(b[o.lsn : o.lsn+8])
		clear(b[o.crc : o.crc+4])
		binary.LittleEndian.PutUint32(b[o.crc:], crc32.Checksum(b[:o.size], castagnoli))
		return
	}
}

// inode is the number of an inode at a place of the image.
func (x *xfsFixer) inode(at int64) uint64 {
	block := uint64(at / xfsBlock)
	group, inGroup := block/x.agBlocks, block%x.agBlocks
	return (group<<x.agShift|inGroup)<<x.inoShift | uint64(at%xfsBlock/xfsSector)
}

// fixInode gives an inode, in use or not, the generation that its number stands for, and the times of its last change.
func (x *xfsFixer) fixInode(b []byte) {
	be := binary.BigEndian
	be.PutUint32(b[xfsGenerationAt:], crc32.Checksum(b[xfsNumberAt:xfsNumberAt+24], castagnoli)) // of number and UUID
	if be.Uint16(b[xfsModeAt:]) == 0 {
		return
	}
	be.PutUint64(b[xfsChangesAt:], 1)
	if n := be.Uint64(b[xfsNumberAt:]); n == x.bitmapIno || n == x.summIno {
		epoch := uint64(0)
		if be.Uint64(b[xfsFlags2At:])&xfsBigtime != 0 {
			epoch = xfsEpoch
		}
		be.PutUint64(b[xfsAtimeAt:], epoch)
		be.PutUint64(b[xfsMtimeAt:], epoch)
	}
	copy(b[xfsCtimeAt:xfsCtimeAt+8], b[xfsMtimeAt:])
	copy(b[xfsCrtimeAt:xfsCrtimeAt+8], b[xfsMtimeAt:])
	clearForks(b[:xfsSector])
}

// clearForks clears what is left over in an inode from when it had more extents: data that is being written has some for as
// long as that takes.
func clearForks(b []byte) {
	be := binary.BigEndian
	extents, attrExtents := uint64(be.Uint32(b[76:])), uint64(be.Uint16(b[80:]))
	if be.Uint64(b[xfsFlags2At:])&xfsBigCounts != 0 {
		extents, attrExtents = be.Uint64(b[24:]), uint64(be.Uint32(b[76:]))
	}
	data, attrs := b[xfsForksAt:], []byte(nil)
	if offset := int(b[82]) * 8; offset > 0 && offset < len(data) {
		data, attrs = data[:offset], data[offset:]
	}
	if b[5] == xfsExtents {
		clearBehind(data, extents*xfsExtentSize)
	}
	if b[83] == xfsExtents {
		clearBehind(attrs, attrExtents*xfsExtentSize)
	}
}

func clearBehind(b []byte, n uint64) { clear(b[min(n, uint64(len(b))):]) }
