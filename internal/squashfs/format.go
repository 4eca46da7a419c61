// Package squashfs links file systems of the format squashfs 4.0: it writes the tables for a merged tree and copies the
// compressed file data from layer packs.
//
// The format is that of the Linux kernel's fs/squashfs/squashfs_fs.h and of "Squashfs Binary Format" (doc/format.adoc
// of squashfs-tools-ng); where several layouts are allowed, the choice is mksquashfs's.
package squashfs

import (
	"encoding/binary"
	"math/bits"
)

var le = binary.LittleEndian

const (
	magic          = 0x73717368 // "hsqs"
	superblockSize = 96
	metadataSize   = 8192 // uncompressed bytes of a metadata block
	padding        = 4096 // the image's size is a multiple of it, as devices are
	noTable        = ^uint64(0)
	noXattrs       = ^uint32(0) // of an inode
	noFragment     = ^uint32(0)
)

// Superblock flags.
const (
	flagRawInodes     = 0x0001
	flagRawData       = 0x0002
	flagRawFragments  = 0x0008
	flagNoFragments   = 0x0010
	flagDuplicates    = 0x0040
	flagExportable    = 0x0080
	flagRawXattrs     = 0x0100
	flagNoXattrs      = 0x0200
	flagCompressorOpt = 0x0400
	flagRawIDs        = 0x0800
)

// Inode types. The extended form of a type is extended higher.
const (
	typeDir = iota + 1
	typeFile
	typeSymlink
	typeBlockDevice
	typeCharDevice
	typeFIFO
	typeSocket
	extended = typeSocket
)

// superblock is the head of an image.
type superblock struct {
	inodes, blockSize, fragments uint32
	compressor, flags, ids       uint16
	root, used                   uint64
	idTable, xattrTable          uint64
	inodeTable, dirTable         uint64
	fragmentTable, exportTable   uint64
}

// encode is the superblock with the fixed epoch as the image's time.
func (s *superblock) encode() []byte {
	b := le.AppendUint32(make([]byte, 0, superblockSize), magic)
	b = le.AppendUint32(b, s.inodes)
	b = le.AppendUint32(b, 0) // time of creation
	b = le.AppendUint32(b, s.blockSize)
	b = le.AppendUint32(b, s.fragments)
	b = le.AppendUint16(b, s.compressor)
	b = le.AppendUint16(b, uint16(bits.TrailingZeros32(s.blockSize)))
	b = le.AppendUint16(b, s.flags)
	b = le.AppendUint16(b, s.ids)
	b = le.AppendUint16(b, 4) // version 4.0
	b = le.AppendUint16(b, 0)
	for _, v := range []uint64{
		s.root, s.used, s.idTable, s.xattrTable, s.inodeTable, s.dirTable, s.fragmentTable, s.exportTable,
	} {
		b = le.AppendUint64(b, v)
	}
	return b
}
