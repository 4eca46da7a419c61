// Package cpiopack defines the pack of an initramfs layer: one OCI layer whose files are already compressed into
// segments, with an index of the layer's entries. Linking an initramfs copies the segments and writes only what has no
// data: directories, symlinks, devices.
//
// A segment is a part of a cpio archive, without a trailer: it begins and ends between two entries, so that segments in any
// order, unpacked one after the other, make one archive, for the kernel as for cpio and bsdtar.
package cpiopack

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/packfile"
)

// A pack is, with all numbers little endian:
//
//	magic      8 bytes
//	data       compressed segments; there may be gaps
//	index      the sections below, without gaps
//	  entries   in layer order (package entries)
//	  contents  contentSize bytes each
//	  segments  segmentRecord bytes each
//	  programs  descriptions of ELF files (package elfinfo), without gaps
//	footer     of package packfile; its head holds what is needed to find the sections
const (
	contentSize   = 4 + 4 + 4
	segmentRecord = 8 + 8 + 8 + 4 + 4 + 4 + sha256.Size
)

var kind = packfile.Kind{Magic: "FLGCPIO\x01", Name: "an initramfs layer pack", HeadSize: 4 + 8 + 8 + 4 + 4 + 4 + 4}

// NoSegment is the Segment of a content without data.
const NoSegment = ^uint32(0)

// Content is the data of one regular file of a layer.
type Content struct {
	Segment uint32 // number of the segment that holds it, or NoSegment
	Size    uint32 // in bytes
	program uint32 // 1 and the place of its description among the programs; 0 when it is no ELF file
}

// Segment is one compressed part of a cpio archive, with files in the order of their contents.
type Segment struct {
	Offset   uint64 // in the pack
	Size     uint64 // in bytes, compressed
	Unpacked uint64 // in bytes
	First    uint32 // number of its first content
	Count    uint32 // contents from First on that the segment is about; those of them without data are not in it
	crc      uint32 // CRC-32C of the compressed bytes
	// Names stands for the names that the files in it have: see NamesHash.
	Names [sha256.Size]byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NamesHash computes a Segment's Names: the names of each content with data, in the order of the contents.
type NamesHash struct{ buf []byte }

// Add continues with a content that has the given names, sorted bytewise.
func (h *NamesHash) Add(names []string) {
	h.buf = binary.AppendUvarint(h.buf, uint64(len(names)))
	for _, name := range names {
		h.buf = append(binary.AppendUvarint(h.buf, uint64(len(name))), name...)
	}
}

// Sum is the hash; it starts the next one.
func (h *NamesHash) Sum() [sha256.Size]byte {
	sum := sha256.Sum256(h.buf)
	h.buf = h.buf[:0]
	return sum
}

func (c Content) append(b []byte) []byte {
	le := binary.LittleEndian
	return le.AppendUint32(le.AppendUint32(le.AppendUint32(b, c.Segment), c.Size), c.program)
}

func decodeContent(b []byte) Content {
	le := binary.LittleEndian
	return Content{Segment: le.Uint32(b), Size: le.Uint32(b[4:]), program: le.Uint32(b[8:])}
}

func (s Segment) append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, s.Offset), s.Size), s.Unpacked)
	b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, s.First), s.Count), s.crc)
	return append(b, s.Names[:]...)
}

func decodeSegment(b []byte) Segment {
	le := binary.LittleEndian
	s := Segment{
		Offset: le.Uint64(b), Size: le.Uint64(b[8:]), Unpacked: le.Uint64(b[16:]),
		First: le.Uint32(b[24:]), Count: le.Uint32(b[28:]), crc: le.Uint32(b[32:]),
	}
	copy(s.Names[:], b[36:])
	return s
}

// footer is the fixed end of a pack.
type footer struct {
	codec      codec.Spec
	dataEnd    int64 // where the index begins
	entryBytes int64
	entries    int64
	contents   int64
	segments   int64
	programs   int64 // bytes
}

// encode is the footer's head.
func (f footer) encode() []byte {
	le := binary.LittleEndian
	b := packfile.AppendCodec(make([]byte, 0, kind.HeadSize), f.codec)
	b = le.AppendUint64(le.AppendUint64(b, uint64(f.dataEnd)), uint64(f.entryBytes))
	b = le.AppendUint32(le.AppendUint32(b, uint32(f.entries)), uint32(f.contents))
	return le.AppendUint32(le.AppendUint32(b, uint32(f.segments)), uint32(f.programs))
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
		dataEnd:    int64(min(le.Uint64(b[4:]), math.MaxInt64)),
		entryBytes: int64(min(le.Uint64(b[12:]), math.MaxInt64)),
		entries:    int64(le.Uint32(b[20:])),
		contents:   int64(le.Uint32(b[24:])),
		segments:   int64(le.Uint32(b[28:])),
		programs:   int64(le.Uint32(b[32:])),
	}
	if f.dataEnd < packfile.MagicSize || f.dataEnd > fileSize || f.entryBytes > fileSize ||
		f.end()+kind.FooterSize() != fileSize {
		return footer{}, errors.New("sections of the index do not add up to the size of the file")
	}
	return f, nil
}

// The offsets of the sections.
func (f footer) contentsAt() int64 { return f.dataEnd + f.entryBytes }
func (f footer) segmentsAt() int64 { return f.contentsAt() + f.contents*contentSize }
func (f footer) programsAt() int64 { return f.segmentsAt() + f.segments*segmentRecord }
func (f footer) end() int64        { return f.programsAt() + f.programs }
