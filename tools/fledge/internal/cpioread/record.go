package cpioread

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/internal/cpio"
)

// Magics of the formats: newc, and the same with a checksum of the content.
const (
	MagicNewc = "070701"
	MagicCRC  = "070702"
	magicOld  = "070707"
)

const (
	headerSize = 110
	trailer    = "TRAILER!!!"
	maxName    = 4096 // PATH_MAX of the kernel, final NUL included
)

// record is an entry of an archive.
type record struct {
	cpio.Header
	nameSize uint32 // with the NUL
	checksum uint32
	crc      bool  // there is a checksum
	segment  int   // index
	start    int64 // of the record: in the segment, or in the file if it is not compressed
	content  int64 // of the content, likewise
	target   string
}

// decodeHeader reads the fields before the name.
func decodeHeader(b []byte) (*record, error) {
	magic := string(b[:6])
	switch magic {
	case MagicNewc, MagicCRC:
	case magicOld:
		return nil, errors.New("an archive in the old portable format; the kernel takes newc (cpio -H newc)")
	default:
		return nil, fmt.Errorf("no cpio magic: %.6q", magic)
	}
	var f [13]uint32
	for i := range f {
		var v [4]byte
		if _, err := hex.Decode(v[:], b[6+8*i:14+8*i]); err != nil {
			return nil, fmt.Errorf("header: %.8q is no number", b[6+8*i:14+8*i])
		}
		f[i] = uint32(v[0])<<24 | uint32(v[1])<<16 | uint32(v[2])<<8 | uint32(v[3])
	}
	return &record{
		Header: cpio.Header{
			Inode: f[0], Mode: f[1], UID: f[2], GID: f[3], Links: f[4], ModTime: f[5], Size: int64(f[6]),
			DevMajor: f[7], DevMinor: f[8], Major: f[9], Minor: f[10],
		},
		nameSize: f[11], checksum: f[12], crc: magic == MagicCRC,
	}, nil
}

// setName takes the name out of what the header says it takes: up to the first NUL.
func (r *record) setName(b []byte) error {
	name, _, ok := strings.Cut(string(b), "\x00")
	if !ok {
		return fmt.Errorf("name %.100q without a NUL at its end", b)
	}
	r.Name = name
	return nil
}

const typeMask = 0o170000

// hasBody tells whether the kernel looks at what follows the name.
func (r *record) hasBody() bool {
	return r.Mode&typeMask == cpio.TypeRegular || r.Mode&typeMask == cpio.TypeSymlink
}
