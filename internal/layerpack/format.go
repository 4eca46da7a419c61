package layerpack

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/packfile"
)

// A pack is, with all numbers little endian:
//
//	magic           8 bytes
//	data            squashfs data blocks and fragment blocks, without gaps
//	index           the sections below, without gaps
//	  entries       in layer order (encodeEntry)
//	  contents      recordSize bytes each
//	  block sizes   4 bytes each; those of one content follow each other
//	  fragments     fragmentSize bytes each
//	  checks        4 bytes each: CRC-32C of the data in every checkSize bytes of the file
//	footer          of package packfile; its head holds what is needed to find the sections
const (
	recordSize   = sha256.Size + 8 + 8 + 8
	fragmentSize = 8 + 4 + 4
	checkSize    = 64 << 10
)

var packKind = packfile.Kind{Magic: "FLGPACK\x02", Name: "a layer pack", HeadSize: 4 + 4 + 8 + 8 + 4 + 4 + 4 + 4}

// maxBlocks bounds the blocks of one content, so that their sizes fit into memory: 64 MiB of them.
const maxBlocks = 1 << 24

// footer is the fixed end of a pack.
type footer struct {
	codec      codec.Spec
	blockSize  int
	dataEnd    int64 // where the index begins
	entryBytes int64
	entries    int64
	contents   int64
	fragments  int64
	blocks     int64
}

// encode is the footer's head.
func (f footer) encode() []byte {
	le := binary.LittleEndian
	b := packfile.AppendCodec(make([]byte, 0, packKind.HeadSize), f.codec)
	b = le.AppendUint32(b, uint32(f.blockSize))
	b = le.AppendUint64(b, uint64(f.dataEnd))
	b = le.AppendUint64(b, uint64(f.entryBytes))
	b = le.AppendUint32(b, uint32(f.entries))
	b = le.AppendUint32(b, uint32(f.contents))
	b = le.AppendUint32(b, uint32(f.fragments))
	return le.AppendUint32(b, uint32(f.blocks))
}

// decodeFooter reads what encode made and checks it against the size of the pack.
func decodeFooter(b []byte, fileSize int64) (footer, error) {
	le := binary.LittleEndian
	spec, err := packfile.DecodeCodec(b)
	if err != nil {
		return footer{}, err
	}
	f := footer{
		codec:      spec,
		blockSize:  int(le.Uint32(b[4:])),
		dataEnd:    int64(min(le.Uint64(b[8:]), math.MaxInt64)),
		entryBytes: int64(min(le.Uint64(b[16:]), math.MaxInt64)),
		entries:    int64(le.Uint32(b[24:])),
		contents:   int64(le.Uint32(b[28:])),
		fragments:  int64(le.Uint32(b[32:])),
		blocks:     int64(le.Uint32(b[36:])),
	}
	if err := codec.CheckBlockSize(f.blockSize); err != nil {
		return footer{}, err
	}
	if f.dataEnd < packfile.MagicSize || f.dataEnd > fileSize || f.entryBytes > fileSize ||
		f.end()+packKind.FooterSize() != fileSize {
		return footer{}, fmt.Errorf("sections of the index do not add up to the size of the file")
	}
	return f, nil
}

// The offsets of the sections.
func (f footer) contentsAt() int64  { return f.dataEnd + f.entryBytes }
func (f footer) blocksAt() int64    { return f.contentsAt() + f.contents*recordSize }
func (f footer) fragmentsAt() int64 { return f.blocksAt() + f.blocks*4 }
func (f footer) checksAt() int64    { return f.fragmentsAt() + f.fragments*fragmentSize }
func (f footer) end() int64         { return f.checksAt() + f.checks()*4 }

// checks is the number of checks.
func (f footer) checks() int64 { return (f.dataEnd + checkSize - 1) / checkSize }

// record is a Content as it stands in the index: where its data is depends on its size.
//
//	no bytes             a and b are 0
//	below a block        a is the fragment block, b the offset in it
//	a block and more     a is the offset of the first block, b the number of its size among the block sizes
type record struct {
	digest [sha256.Size]byte
	size   uint64
	a, b   uint64
}

func (r record) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, r.digest[:]...)
	b = le.AppendUint64(b, r.size)
	b = le.AppendUint64(b, r.a)
	return le.AppendUint64(b, r.b)
}

func decodeRecord(b []byte) record {
	le := binary.LittleEndian
	r := record{size: le.Uint64(b[32:]), a: le.Uint64(b[40:]), b: le.Uint64(b[48:])}
	copy(r.digest[:], b)
	return r
}

// DiskSize is the number of bytes that a block with the on-disk size s takes.
func DiskSize(s uint32) int64 { return int64(s &^ Uncompressed) }
