package elfinfo

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"strings"
)

var errCompressed = errors.New("a section is compressed, which only those with debug information may be")

// Open is elf.NewFile for a file that may be hostile. Sections can be compressed, and package elf has no bound for what
// they unpack to; it unpacks the one with the names at once, so Open refuses that.
func Open(file []byte) (*elf.File, error) {
	if namesCompressed(file) {
		return nil, errCompressed
	}
	return elf.NewFile(bytes.NewReader(file))
}

// Data is what a section holds: never more bytes than it has in the file.
func Data(s *elf.Section) ([]byte, error) {
	if compressed(s) {
		return nil, errCompressed
	}
	return s.Data()
}

// compressed knows the old form, too, which only the name tells.
func compressed(s *elf.Section) bool {
	return s.Flags&elf.SHF_COMPRESSED != 0 || strings.HasPrefix(s.Name, ".zdebug")
}

// namesCompressed tells whether the section that has the names of all sections is compressed.
func namesCompressed(file []byte) bool {
	if len(file) < elf.EI_NIDENT {
		return false
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if elf.Data(file[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	var at, size, index uint64
	var section func(at uint64) (flags, link uint64)
	if elf.Class(file[elf.EI_CLASS]) == elf.ELFCLASS64 {
		var h elf.Header64
		decodeAt(file, 0, order, &h)
		at, size, index = h.Shoff, uint64(h.Shentsize), uint64(h.Shstrndx)
		section = func(at uint64) (flags, link uint64) {
			var s elf.Section64
			decodeAt(file, at, order, &s)
			return s.Flags, uint64(s.Link)
		}
	} else {
		var h elf.Header32
		decodeAt(file, 0, order, &h)
		at, size, index = uint64(h.Shoff), uint64(h.Shentsize), uint64(h.Shstrndx)
		section = func(at uint64) (flags, link uint64) {
			var s elf.Section32
			decodeAt(file, at, order, &s)
			return uint64(s.Flags), uint64(s.Link)
		}
	}
	if elf.SectionIndex(index) == elf.SHN_XINDEX {
		_, index = section(at)
	}
	flags, _ := section(at + index*size)
	return elf.SectionFlag(flags)&elf.SHF_COMPRESSED != 0
}

// decodeAt leaves v as it is when the file is too short; package elf finds that, too.
func decodeAt(file []byte, at uint64, order binary.ByteOrder, v any) {
	if at < uint64(len(file)) {
		_, _ = binary.Decode(file[at:], order, v)
	}
}
