// Package erofs links file systems of the format EROFS: it writes the inodes and directories of a merged tree and copies
// the blocks of file data from layer packs (package erofspack).
//
// The format is that of the Linux kernel's fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst, as of Linux 6.1.
// An image is, in blocks of 4 KiB:
//
//	superblock   at byte 1024 of the first block, with the CRC-32C of the rest of that block
//	data         of files, as it lies in the packs, base layer first: it stays where it is when a later layer changes
//	xattrs       extended attributes that several inodes share
//	inodes       in slots of 32 bytes; the number of the slot is the inode's number (nid). Behind an inode, in the same
//	             block, lie its extended attributes, the index of compressed data and the end of its data.
//	directories  those blocks that do not lie behind their inode
//
// Compressed data is LZ4: every kernel with compressed EROFS reads it (MicroLZMA, the other compressor of Linux 6.1, has
// an option of its own that few kernels set) and it needs neither much memory nor time to boot from. Clusters of up to 16
// blocks are filled to the last byte (fixed-size output, as mkfs.erofs -zlz4hc -C65536 makes them), and the last one of a
// file lies behind its inode (ztailpacking, Linux 5.17). The index has 8 bytes for each 4 KiB of the file (the layout
// EROFS_INODE_COMPRESSED_FULL), which can point to any block: in the compact one of 2 bytes a group of entries shares one
// block number, which costs more code than it saves bytes.
package erofs

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/fledge-build/fledge/internal/erofspack"
)

var le = binary.LittleEndian

const (
	magic       = 0xe0f5e1e2
	blockSize   = erofspack.BlockSize
	blockBits   = 12
	superOffset = 1024
	superSize   = 128
	slotSize    = 32
	slotsABlock = blockSize / slotSize
	noBlock     = ^uint32(0)
)

// Features of the superblock.
const (
	compatChecksum = 0x1
	compatMtime    = 0x2 // the time of inodes is that of the last change

	incompatZeroPadding  = 0x1 // compressed data is at the end of its blocks
	incompatComprConfigs = 0x2 // settings of compressors follow the superblock; clusters may have several blocks
	incompatChunked      = 0x4
	incompatTailPacking  = 0x10
)

// Layouts of an inode's data, in bits 1 to 3 of its format; bit 0 is set for the extended inode.
const (
	layoutPlain      = 0
	layoutCompressed = 1
	layoutInline     = 2
	layoutChunked    = 4
)

// Sizes of inodes.
const (
	compactSize  = 32
	extendedSize = 64
)

// Compressed data: the header in front of an inode's index, and the types of index entries.
const (
	mapHeaderSize    = 8 + 8 // the second half is unused
	indexSize        = 8
	adviseBigCluster = 0x2
	adviseInline     = 0x8
	clusterPlain     = 0
	clusterHead      = 1
	clusterNonHead   = 2
	blockCountMark   = 1 << 11 // in the first distance of the first entry after a head: the rest is the cluster's blocks
	maxDistance      = blockCountMark - 1
	lz4WindowSize    = 1<<16 - 1
	algorithmLZ4     = 1 // bit of the superblock's list
	chunkMapEntry    = 4
)

const (
	xattrHeaderSize    = 12
	maxXattrSlots      = 1<<16 - 1
	maxSharedXattrs    = 1<<8 - 1
	maxXattrValue      = 1<<16 - 1
	direntSize         = 12
	maxMajor, maxMinor = 1<<12 - 1, 1<<20 - 1
)

// superblock is the head of an image.
type superblock struct {
	rootSlot                  uint16
	inodes                    uint64
	time                      int64 // of compact inodes, in seconds
	blocks, inodesAt, xattrAt uint32
	uuid                      [16]byte
	incompat                  uint32
	compressed                bool
}

// encode is the first block.
func (s *superblock) encode() []byte {
	b := le.AppendUint32(make([]byte, superOffset, blockSize), magic)
	b = le.AppendUint32(b, 0) // the checksum
	b = le.AppendUint32(b, compatChecksum|compatMtime)
	b = append(b, blockBits, 0)
	b = le.AppendUint16(b, s.rootSlot)
	b = le.AppendUint64(b, s.inodes)
	b = le.AppendUint64(b, uint64(s.time))
	b = le.AppendUint32(b, 0) // nanoseconds
	b = le.AppendUint32(b, s.blocks)
	b = le.AppendUint32(b, s.inodesAt)
	b = le.AppendUint32(b, s.xattrAt)
	b = append(b, s.uuid[:]...)
	b = append(b, make([]byte, 16)...) // the volume's name
	b = le.AppendUint32(b, s.incompat)
	if s.compressed {
		b = le.AppendUint16(b, algorithmLZ4)
	}
	b = append(b, make([]byte, superOffset+superSize-len(b))...)
	if s.compressed {
		b = le.AppendUint16(b, 14) // bytes of LZ4's settings
		b = le.AppendUint16(b, lz4WindowSize)
		b = le.AppendUint16(b, erofspack.MaxCluster)
	}
	b = b[:blockSize]
	le.PutUint32(b[superOffset+4:], ^crc32.Checksum(b[superOffset:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
