// Package kmodtest makes kernel modules for tests.
package kmodtest

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Module makes the smallest ELF file for amd64 with a .modinfo section (ELF-64 Object File Format, sections 2 and 4): a module of
// the kernel release that depends on others, separated by commas. No kernel loads it.
func Module(release, depends string) []byte {
	info := "license=GPL\x00depends=" + depends + "\x00vermagic=" + release + " SMP mod_unload \x00"
	names := "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	put := func(v ...any) {
		for _, x := range v {
			if err := binary.Write(&b, binary.LittleEndian, x); err != nil {
				panic(err)
			}
		}
	}
	body := 64 + len(info) + len(names)
	put(uint16(1), uint16(62), uint32(1), uint64(0), uint64(0), uint64(body), uint32(0),
		uint16(64), uint16(0), uint16(0), uint16(64), uint16(3), uint16(2))
	b.WriteString(info + names)
	section := func(name, kind uint32, offset, size int) {
		put(name, kind, uint64(0), uint64(0), uint64(offset), uint64(size), uint32(0), uint32(0), uint64(1), uint64(0))
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(info))
	section(10, 3, 64+len(info), len(names))
	return b.Bytes()
}
