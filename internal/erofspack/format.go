// Package erofspack defines the pack of an EROFS layer: one OCI layer whose file data already lies in the blocks that an
// EROFS image has, compressed or not, with an index of the layer's entries. Linking an image copies the blocks and writes
// only inodes, directories and indexes.
//
// It is a kind of its own since the blocks of squashfs packs are of no use for EROFS: they are not aligned, small files
// share them, and a compressed block of EROFS has a fixed size and holds as much of the file as fits, not the other way
// round.
package erofspack

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/packfile"
)

// BlockSize is the size of all blocks, in bytes: that of a page, which all kernels read.
const BlockSize = 4096

const (
	// MaxCluster is the most that a compressed extent takes, in blocks.
	MaxCluster = 16
	// MaxTail is the longest Tail: with an inode it fits into a block.
	MaxTail = BlockSize - 128
	// segmentSize is how much of a file is compressed at a time. Nothing goes across its end.
	segmentSize = 4 << 20
	// maxChunks bounds the chunks of files up to 4 GiB, so that their map is smaller than a block that is left out.
	maxChunks = 1024
)

// A pack is, with all numbers little endian:
//
//	magic      8 bytes, filled up to a block
//	data       blocks
//	index      the sections below, without gaps
//	  entries   in layer order (package entries)
//	  contents  recordSize bytes each
//	  extents   extentSize bytes each; those of one content follow each other
//	footer     of package packfile; its head holds what is needed to find the sections
const (
	recordSize = sha256.Size + 8 + 8 + 4 + 4 + 4 + 4 + 8 + 4 + 2 + 1 + 1
	extentSize = 4 + 2 + 1 + 1
)

var kind = packfile.Kind{Magic: "FLGEROF\x01", Name: "an erofs layer pack", HeadSize: 4 + 8 + 8 + 4 + 4 + 4}

// Layout is how a content is stored.
type Layout uint8

const (
	// Flat is the bytes as they are: whole blocks, and the rest as the tail or in one more block, filled up with zeros.
	Flat Layout = iota
	// Chunked is the bytes as they are without chunks of zeros. Extents has the runs of chunks. The last block is filled up
	// with zeros; there is no tail.
	Chunked
	// LZ4 is compressed. Extents are in the order of the file; the last may be the tail.
	LZ4
	layouts
)

// ExtentKind is what an extent is.
type ExtentKind uint8

const (
	// Data are chunks that are stored (Chunked).
	Data ExtentKind = iota
	// Hole are chunks of zeros, which take no blocks (Chunked).
	Hole
	// Plain are bytes as they are: Length / BlockSize blocks, rounded up; or, without blocks, the tail (LZ4).
	Plain
	// Compressed is one LZ4 block at the end of Blocks blocks, zeros before it; or, without blocks, the tail (LZ4).
	Compressed
	extentKinds
)

// Extent is a part of a content.
type Extent struct {
	Length uint32 // in bytes of the content; of Data and Hole in chunks
	Blocks uint16 // of Plain and Compressed: on disk, 0 for the tail
	Kind   ExtentKind
}

// Content is the data of one or more regular files of a layer with the same bytes.
type Content struct {
	Digest  [sha256.Size]byte // of the uncompressed bytes
	Size    uint64            // uncompressed bytes
	Layout  Layout
	Block   uint64   // number of the first block in the pack, from its start; 0 without blocks
	Blocks  uint32   // on disk
	Extents []Extent // of Chunked and LZ4
	Tail    int      // bytes that are to be stored with the inode, at most MaxTail

	tailAt       uint64 // in the pack
	crc, tailCRC uint32 // CRC-32C
}

// ChunkBlocks is the number of blocks in a chunk of a content of size bytes: a power of two.
func ChunkBlocks(size uint64) uint64 {
	chunk := uint64(1)
	for chunk < segmentSize/BlockSize && size > chunk*BlockSize*maxChunks {
		chunk *= 2
	}
	return chunk
}

// blocksOf is the number of blocks that n bytes take.
func blocksOf(n uint64) uint64 { return (n + BlockSize - 1) / BlockSize }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is a Content as it stands in the index.
type record struct {
	Content
	firstExtent uint32
	extents     uint32
}

func (r *record) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, r.Digest[:]...)
	b = le.AppendUint64(le.AppendUint64(b, r.Size), r.Block)
	b = le.AppendUint32(le.AppendUint32(b, r.Blocks), r.firstExtent)
	b = le.AppendUint32(le.AppendUint32(b, r.extents), r.crc)
	b = le.AppendUint32(le.AppendUint64(b, r.tailAt), r.tailCRC)
	b = le.AppendUint16(b, uint16(r.Tail))
	return append(b, byte(r.Layout), 0)
}

func decodeRecord(b []byte) (r record) {
	le := binary.LittleEndian
	copy(r.Digest[:], b)
	b = b[sha256.Size:]
	r.Size, r.Block, r.Blocks = le.Uint64(b), le.Uint64(b[8:]), le.Uint32(b[16:])
	r.firstExtent, r.extents, r.crc = le.Uint32(b[20:]), le.Uint32(b[24:]), le.Uint32(b[28:])
	r.tailAt, r.tailCRC = le.Uint64(b[32:]), le.Uint32(b[40:])
	r.Tail, r.Layout = int(le.Uint16(b[44:])), Layout(b[46])
	return r
}

func (e Extent) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, e.Length)
	b = binary.LittleEndian.AppendUint16(b, e.Blocks)
	return append(b, byte(e.Kind), 0)
}

func decodeExtent(b []byte) Extent {
	return Extent{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), ExtentKind(b[6])}
}

// footer is the fixed end of a pack.
type footer struct {
	codec      codec.Spec
	dataEnd    int64 // where the index begins
	entryBytes int64
	entries    int64
	contents   int64
	extents    int64
}

// encode is the footer's head.
func (f footer) encode() []byte {
	le := binary.LittleEndian
	b := packfile.AppendCodec(make([]byte, 0, kind.HeadSize), f.codec)
	b = le.AppendUint64(le.AppendUint64(b, uint64(f.dataEnd)), uint64(f.entryBytes))
	b = le.AppendUint32(le.AppendUint32(b, uint32(f.entries)), uint32(f.contents))
	return le.AppendUint32(b, uint32(f.extents))
}

// decodeFooter reads what encode made and checks it against the size of the pack.
func decodeFooter(b []byte, fileSize int64) (footer, error) {
	le := binary.LittleEndian
	spec, err := packfile.DecodeCodec(b)
	if err == nil {
		err = CheckCodec(spec)
	}
	if err != nil {
		return footer{}, err
	}
	f := footer{
		codec:      spec,
		dataEnd:    int64(min(le.Uint64(b[4:]), math.MaxInt64)),
		entryBytes: int64(min(le.Uint64(b[12:]), math.MaxInt64)),
		entries:    int64(le.Uint32(b[20:])),
		contents:   int64(le.Uint32(b[24:])),
		extents:    int64(le.Uint32(b[28:])),
	}
	if f.dataEnd < BlockSize || f.dataEnd%BlockSize != 0 || f.dataEnd > fileSize || f.entryBytes > fileSize ||
		f.end()+kind.FooterSize() != fileSize {
		return footer{}, fmt.Errorf("sections of the index do not add up to the size of the file")
	}
	return f, nil
}

// The offsets of the sections.
func (f footer) contentsAt() int64 { return f.dataEnd + f.entryBytes }
func (f footer) extentsAt() int64  { return f.contentsAt() + f.contents*recordSize }
func (f footer) end() int64        { return f.extentsAt() + f.extents*extentSize }

// CheckCodec tells whether packs can be made with spec: lz4 and none.
func CheckCodec(spec codec.Spec) error {
	if spec.Name != "lz4" && spec.Name != "none" {
		return fmt.Errorf("erofs images are not made with %s: use lz4, which every kernel with erofs reads, or none", spec)
	}
	return nil
}
