// Package ext4 writes file systems of the format ext4 from a merged tree and layer packs: in one pass from front to
// back, without root, a mount or a temporary file.
//
// The format is that of the Linux kernel's Documentation/filesystems/ext4 and, where that leaves a choice, of mke2fs's
// defaults: extents, 64bit, metadata_csum (CRC-32C), dir_index (half MD4), flex_bg, sparse_super, huge_file, dir_nlink,
// extra_isize. Blocks have 4096 bytes, inodes 256. What differs from mke2fs: no lost+found, which no layer has (e2fsck
// makes it when it needs it), no blocks reserved for root, and reserved group descriptors (resize_inode) for 1 TiB
// rather than 1024 times the size; beyond that a running kernel goes on with meta_bg.
//
// A writer of our own, because hcsshim's ext4/tar2ext4, the one in Go that is kept up, makes what its read-only use
// needs: its images are marked read-only for good and have no checksums, no 64bit, no journal, no directory indexes, no
// room to grow, and no files above 128 GiB; it knows no holes, takes a tar rather than a merged tree, and seeks back and
// forth in its output.
package ext4

import (
	"encoding/binary"
	"hash/crc32"
)

var le = binary.LittleEndian

const (
	blockSize      = 4096
	inodeSize      = 256
	inodesPerBlock = blockSize / inodeSize
	descSize       = 64 // of a group descriptor
	descsPerBlock  = blockSize / descSize
	bitsPerBlock   = 8 * blockSize // what a bitmap describes at most
	sectorSize     = 512           // the unit in which inodes count their blocks

	superOffset = 1024 // of the superblock in its first block
	superSize   = 1024
)

// Inode numbers.
const (
	rootInode    = 2
	resizeInode  = 7
	journalInode = 8
	firstInode   = 11 // the first that is not reserved
)

// File type bits of an inode's mode, and the numbers of the types in directory entries.
const (
	modeFIFO      = 0x1000
	modeChar      = 0x2000
	modeDirectory = 0x4000
	modeBlock     = 0x6000
	modeRegular   = 0x8000
	modeSymlink   = 0xa000
	modeSocket    = 0xc000

	entryRegular   = 1
	entryDirectory = 2
	entryChar      = 3
	entryBlock     = 4
	entryFIFO      = 5
	entrySocket    = 6
	entrySymlink   = 7
)

// Inode flags.
const (
	flagIndex   = 0x1000  // the directory has a hash tree
	flagExtents = 0x80000 // i_block is the root of an extent tree
)

// What the format holds at most.
const (
	maxLinks    = 65000             // names of a file
	maxFile     = 1<<32 - 1         // blocks of a file
	maxBlocks   = 1<<32 - 1         // of an image: the resize inode's block numbers have 32 bits
	maxInodes   = 1<<32 - 1<<16     // of an image, leaving room to round up
	minTime     = -1 << 31          // seconds since 1970
	maxTime     = 1<<33 + 1<<31 - 1 // later ones, up to 2446, e2fsck takes for ones before 1970 that an old kernel wrote
	maxMajor    = 1<<12 - 1
	maxMinor    = 1<<20 - 1
	fastSymlink = 60 // bytes of a target, with its NUL, that fit into the inode
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum continues sum with p: CRC-32C as ext4 has it, without the inversions at begin and end.
func checksum(sum uint32, p ...[]byte) uint32 {
	sum = ^sum
	for _, b := range p {
		sum = crc32.Update(sum, castagnoli, b)
	}
	return ^sum
}

// seedOf is the start of checksums that belong to number: an inode, a group or a block.
func seedOf(sum, number uint32) uint32 { return checksum(sum, le.AppendUint32(nil, number)) }

// blocksFor is the number of blocks that n bytes take.
func blocksFor(n uint64) uint64 { return n/blockSize + min(n%blockSize, 1) }

// ceil is n / d, rounded up.
func ceil(n, d uint64) uint64 { return (n + d - 1) / d }

// run is count blocks from start on.
type run struct{ start, count uint64 }

func (r run) end() uint64 { return r.start + r.count }
