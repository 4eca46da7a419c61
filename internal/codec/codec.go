// Package codec compresses and decompresses single squashfs blocks with the compressors of squashfs 4.0.
//
// What an Encoder puts out depends on its Spec, the block size and the block alone: never on the machine, the number of
// cores or what it encoded before. docs/compression.md tells what each level is served by.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The limits of a squashfs block size, in bytes; it is a power of two.
const (
	MinBlockSize     = 4 << 10
	MaxBlockSize     = 1 << 20
	DefaultBlockSize = 128 << 10
)

// metadataSize is the most that a squashfs metadata block holds; it may exceed the block size.
const metadataSize = 8 << 10

// Compressor ids of the squashfs 4.0 superblock that this package serves.
const (
	idGzip = 1
	idXz   = 4
	idLz4  = 5
	idZstd = 6
)

// Spec names a compressor and its level.
type Spec struct {
	Name  string // zstd, gzip, xz, lz4 or none
	Level int    // zstd 1 to 22, gzip 1 to 9, otherwise 0
}

// compressor is what a name stands for.
type compressor struct {
	name                   string
	id                     uint16
	defaultLevel, maxLevel int // 0 when it has no levels
	newEncoder             func(level, blockSize int) (Encoder, error)
}

var compressors = []compressor{
	{"zstd", idZstd, 15, 22, newZstdEncoder},
	{"gzip", idGzip, 9, 9, newGzipEncoder},
	{"xz", idXz, 0, 0, newXzEncoder},
	{"lz4", idLz4, 0, 0, newLz4Encoder},
	{"none", idGzip, 0, 0, newNoneEncoder},
}

func lookup(name string) (compressor, error) {
	for _, c := range compressors {
		if c.name == name {
			return c, nil
		}
	}
	return compressor{}, fmt.Errorf("unknown compressor %q: use zstd, gzip, xz, lz4 or none", name)
}

// ParseSpec checks name and level. Level 0 stands for the compressor's default: 15 for zstd, 9 for gzip. A compressor
// without levels (xz, lz4, none) ignores the level.
func ParseSpec(name string, level int) (Spec, error) {
	c, err := lookup(name)
	if err != nil {
		return Spec{}, err
	}
	switch {
	case c.maxLevel == 0:
		return Spec{Name: name}, nil
	case level == 0:
		return Spec{Name: name, Level: c.defaultLevel}, nil
	case level < 1 || level > c.maxLevel:
		return Spec{}, fmt.Errorf("%s has no level %d: use 1 to %d", name, level, c.maxLevel)
	}
	return Spec{Name: name, Level: level}, nil
}

// CheckBlockSize tells whether squashfs allows blocks of n bytes: a power of two from 4096 to 1048576.
func CheckBlockSize(n int) error {
	if n < MinBlockSize || n > MaxBlockSize || n&(n-1) != 0 {
		return fmt.Errorf("block size %d: use a power of two from %d to %d", n, MinBlockSize, MaxBlockSize)
	}
	return nil
}

// String is the form "zstd 15", or the name alone when the compressor has no levels.
func (s Spec) String() string {
	if s.Level == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s %d", s.Name, s.Level)
}

// ID is the compressor's number in the squashfs superblock. "none" has gzip's, with every block stored as it is, since
// squashfs has no number for it.
func (s Spec) ID() uint16 {
	c, _ := lookup(s.Name)
	return c.id
}

// Options is the content of the compressor options block that follows the superblock, or nil when the image has none
// because everything is at the default. Formats: squashfs-tools, *_wrapper.h.
func (s Spec) Options(blockSize int) []byte {
	le := binary.LittleEndian
	switch {
	case s.Name == "zstd" && s.Level != 15: // the level
		return le.AppendUint32(nil, uint32(s.Level))
	case s.Name == "gzip" && s.Level != 9: // the level, window bits, no strategies
		return append(le.AppendUint32(nil, uint32(s.Level)), 15, 0, 0, 0)
	case s.Name == "lz4": // format version 1, flag 1 for the high compression mode
		return append(le.AppendUint32(nil, 1), 1, 0, 0, 0)
	}
	return nil
}

// Encoder compresses blocks. It is not safe for concurrent use.
type Encoder interface {
	// Encode appends the compressed form of src to dst. The result may be longer than src.
	Encode(dst, src []byte) ([]byte, error)
}

// NewEncoder makes an encoder for blocks of at most blockSize bytes and for metadata blocks, which hold up to 8 KiB
// whatever the block size.
func (s Spec) NewEncoder(blockSize int) (Encoder, error) {
	c, err := lookup(s.Name)
	if err != nil {
		return nil, err
	}
	if err := CheckBlockSize(blockSize); err != nil {
		return nil, err
	}
	return c.newEncoder(s.Level, blockSize)
}

// EncodeBlock appends src to dst: compressed, or, when that would not be smaller, as it is with stored true.
func EncodeBlock(e Encoder, dst, src []byte) (out []byte, stored bool, err error) {
	out, err = e.Encode(dst, src)
	if errors.Is(err, errStore) || err == nil && len(out)-len(dst) >= len(src) {
		return append(dst, src...), true, nil
	}
	return out, false, err
}

// errStore is an encoder's way to say that the block does not shrink.
var errStore = errors.New("block does not shrink")

// Decoder decompresses blocks. It is not safe for concurrent use.
type Decoder interface {
	// Decode appends the content of src to dst. More than max bytes of content, or anything else that is wrong with
	// src, is an error.
	Decode(dst, src []byte, max int) ([]byte, error)
}

// NewDecoder makes a decoder for the compressor with the squashfs number id. Stored blocks need none.
func NewDecoder(id uint16) (Decoder, error) {
	switch id {
	case idGzip:
		return newGzipDecoder(), nil
	case idXz:
		return xzDecoder{}, nil
	case idLz4:
		return lz4Decoder{}, nil
	case idZstd:
		return newZstdDecoder()
	}
	return nil, fmt.Errorf("squashfs compressor number %d is not supported", id)
}
