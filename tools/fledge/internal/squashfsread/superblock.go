// Package squashfsread reads squashfs 4.0 images, whoever made them: every compressor, every kind of inode. What an
// image says is checked before it is followed or allocated for, so a hostile one gets an error that names the place.
//
// The format is that of the Linux kernel's fs/squashfs/squashfs_fs.h and of "Squashfs Binary Format" (doc/format.adoc
// of squashfs-tools-ng).
package squashfsread

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/codec"
)

var le = binary.LittleEndian

// Magic begins every squashfs image of version 4.
const Magic = "hsqs"

const (
	superblockSize = 96
	metadataSize   = 8192 // uncompressed bytes of a metadata block
	noTable        = ^uint64(0)
	noXattrs       = ^uint32(0) // of an inode
	noFragment     = ^uint32(0)
)

// Superblock flags.
const (
	flagNoFragments   = 0x0010
	flagExportable    = 0x0080
	flagNoXattrs      = 0x0200
	flagCompressorOpt = 0x0400
)

// flagNames are the bits of the superblock's flags, from the lowest.
var flagNames = [...]string{
	"raw inodes", "raw data", "check", "raw fragments", "no fragments", "always fragments", "duplicates", "exportable",
	"raw xattrs", "no xattrs", "compressor options", "raw ids",
}

var compressorNames = [...]string{"", "gzip", "lzma", "lzo", "xz", "lz4", "zstd"}

// superblock is the head of an image.
type superblock struct {
	inodes, created, blockSize, fragments uint32
	compressor, blockLog, flags, ids      uint16
	major, minor                          uint16
	root, used                            uint64
	idTable, xattrTable                   uint64
	inodeTable, dirTable                  uint64
	fragmentTable, exportTable            uint64
}

func decodeSuperblock(b []byte) superblock {
	return superblock{
		inodes: le.Uint32(b[4:]), created: le.Uint32(b[8:]), blockSize: le.Uint32(b[12:]), fragments: le.Uint32(b[16:]),
		compressor: le.Uint16(b[20:]), blockLog: le.Uint16(b[22:]), flags: le.Uint16(b[24:]), ids: le.Uint16(b[26:]),
		major: le.Uint16(b[28:]), minor: le.Uint16(b[30:]),
		root: le.Uint64(b[32:]), used: le.Uint64(b[40:]),
		idTable: le.Uint64(b[48:]), xattrTable: le.Uint64(b[56:]),
		inodeTable: le.Uint64(b[64:]), dirTable: le.Uint64(b[72:]),
		fragmentTable: le.Uint64(b[80:]), exportTable: le.Uint64(b[88:]),
	}
}

// readSuperblock reads and checks the superblock of an image of size bytes.
func readSuperblock(r io.ReaderAt, size int64) (superblock, error) {
	var b [superblockSize]byte
	if size < superblockSize {
		return superblock{}, fmt.Errorf("squashfs: %d bytes are too few for a superblock", size)
	}
	if _, err := r.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return superblock{}, err
	}
	if string(b[:4]) != Magic {
		return superblock{}, errors.New("squashfs: wrong magic")
	}
	s := decodeSuperblock(b[:])
	if err := s.check(size); err != nil {
		return superblock{}, fmt.Errorf("squashfs: superblock: %w", err)
	}
	return s, nil
}

func (s *superblock) check(size int64) error {
	switch {
	case s.major != 4 || s.minor != 0:
		return fmt.Errorf("version %d.%d is not supported, only 4.0", s.major, s.minor)
	case codec.CheckBlockSize(int(s.blockSize)) != nil:
		return codec.CheckBlockSize(int(s.blockSize))
	case s.blockLog >= 32 || 1<<s.blockLog != s.blockSize:
		return fmt.Errorf("block size %d and its logarithm %d do not agree", s.blockSize, s.blockLog)
	case s.compressor == 0 || int(s.compressor) >= len(compressorNames):
		return fmt.Errorf("unknown compressor %d", s.compressor)
	case s.used > uint64(size):
		return fmt.Errorf("the image is cut off: %d bytes of %d", size, s.used)
	case s.inodes == 0:
		return errors.New("no inodes")
	case s.ids == 0:
		return errors.New("no owners")
	case int(s.flags)>>len(flagNames) != 0:
		return fmt.Errorf("unknown flags %#04x", s.flags)
	case s.inodeTable < superblockSize || s.inodeTable >= s.dirTable || s.dirTable >= s.used:
		return fmt.Errorf("inode table at %d and directory table at %d of %d bytes", s.inodeTable, s.dirTable, s.used)
	}
	for _, t := range []struct {
		name string
		at   uint64
	}{
		{"id", s.idTable}, {"xattr", s.xattrTable}, {"fragment", s.fragmentTable}, {"export", s.exportTable},
	} {
		missing := t.at == noTable && t.name != "id"
		if !missing && (t.at <= s.dirTable || t.at >= s.used) {
			return fmt.Errorf("%s table at %d, which is not behind the directory table", t.name, t.at)
		}
	}
	return s.checkFlags()
}

// checkFlags compares flags with the tables that they speak of.
func (s *superblock) checkFlags() error {
	switch {
	case s.flags&flagExportable != 0 && s.exportTable == noTable:
		return errors.New("exportable without an export table")
	case s.flags&flagExportable == 0 && s.exportTable != noTable:
		return errors.New("an export table although not exportable")
	case s.fragments > 0 && s.fragmentTable == noTable:
		return fmt.Errorf("%d fragment blocks without a table of them", s.fragments)
	case s.fragments > 0 && s.flags&flagNoFragments != 0:
		return fmt.Errorf("%d fragment blocks although it says there are none", s.fragments)
	case s.xattrTable != noTable && s.flags&flagNoXattrs != 0:
		return errors.New("a table of extended attributes although it says there are none")
	}
	return nil
}

// flagList names the flags that are set.
func (s *superblock) flagList() []string {
	list := []string{}
	for i, name := range flagNames {
		if s.flags>>i&1 != 0 {
			list = append(list, name)
		}
	}
	return list
}
