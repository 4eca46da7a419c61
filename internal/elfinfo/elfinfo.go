// Package elfinfo reads from an ELF file what its machine has to provide: the processor, the dynamic loader and the
// shared libraries. Format: System V ABI, chapters 4 and 5.
package elfinfo

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// Info is what a program or library needs to run.
type Info struct {
	Machine    elf.Machine
	Executable bool     // has an entry point: a program, or a library that can be run as one
	Loader     string   // path of the dynamic loader; "" for a static program and for a library
	Libraries  []string // names of shared libraries (DT_NEEDED); nil where they are not known, see Read
}

// Bounds, so that a hostile file cannot ask for much memory.
const (
	maxSegments  = 1 << 10
	maxLoader    = 4 << 10
	maxLibraries = 1 << 10
)

// Read reads an ELF file from its first bytes; ok is false for what is none, or a damaged one. whole tells that head is
// all of the file: the list of libraries lies behind, so a part of the file gives none.
func Read(head []byte, whole bool) (info Info, ok bool) {
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) || len(head) < elf.EI_NIDENT {
		return Info{}, false
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	var segments []elf.ProgHeader
	switch elf.Class(head[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		var h elf.Header64
		if _, err := binary.Decode(head, order, &h); err != nil {
			return Info{}, false
		}
		info.Machine, info.Executable = elf.Machine(h.Machine), executable(h.Type, h.Entry)
		segments, ok = readSegments(head, order, h.Phoff, h.Phnum, func(p *elf.Prog64) elf.ProgHeader {
			return elf.ProgHeader{Type: elf.ProgType(p.Type), Off: p.Off, Filesz: p.Filesz}
		})
	case elf.ELFCLASS32:
		var h elf.Header32
		if _, err := binary.Decode(head, order, &h); err != nil {
			return Info{}, false
		}
		info.Machine, info.Executable = elf.Machine(h.Machine), executable(h.Type, uint64(h.Entry))
		segments, ok = readSegments(head, order, uint64(h.Phoff), h.Phnum, func(p *elf.Prog32) elf.ProgHeader {
			return elf.ProgHeader{Type: elf.ProgType(p.Type), Off: uint64(p.Off), Filesz: uint64(p.Filesz)}
		})
	}
	if !ok {
		return Info{}, false
	}
	info.Loader = loader(head, segments)
	if info.Loader != "" && whole {
		info.Libraries = libraries(head)
	}
	return info, true
}

func executable(kind uint16, entry uint64) bool {
	return elf.Type(kind) == elf.ET_EXEC || elf.Type(kind) == elf.ET_DYN && entry != 0
}

// readSegments reads the table of program headers; a library of data alone may have none.
func readSegments[P any](
	head []byte, order binary.ByteOrder, at uint64, count uint16, convert func(*P) elf.ProgHeader,
) (list []elf.ProgHeader, ok bool) {
	var p P
	size := uint64(binary.Size(p))
	if at > uint64(len(head)) || count > maxSegments || uint64(count)*size > uint64(len(head))-at {
		return nil, false
	}
	for ; count > 0; count-- {
		if _, err := binary.Decode(head[at:], order, &p); err != nil {
			return nil, false
		}
		list = append(list, convert(&p))
		at += size
	}
	return list, true
}

func loader(head []byte, segments []elf.ProgHeader) string {
	for _, s := range segments {
		if s.Type != elf.PT_INTERP || s.Off > uint64(len(head)) || s.Filesz > min(maxLoader, uint64(len(head))-s.Off) {
			continue
		}
		path, _, _ := bytes.Cut(head[s.Off:s.Off+s.Filesz], []byte{0})
		return string(path)
	}
	return ""
}

func libraries(file []byte) []string {
	f, err := Open(file)
	if err != nil {
		return nil
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_DYNAMIC && (compressed(s) || int(s.Link) < len(f.Sections) && compressed(f.Sections[s.Link])) {
			return nil
		}
	}
	list, err := f.ImportedLibraries()
	if err != nil || len(list) > maxLibraries {
		return nil
	}
	return list
}

// Machine is the ELF machine of an architecture as OCI and Go name it.
func Machine(arch string) (elf.Machine, error) {
	switch arch {
	case "amd64":
		return elf.EM_X86_64, nil
	case "arm64":
		return elf.EM_AARCH64, nil
	}
	return 0, fmt.Errorf("unknown architecture %q: use amd64 or arm64", arch)
}

// Append encodes info for the index of a pack.
func (info Info) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(info.Machine))
	executable := byte(0)
	if info.Executable {
		executable = 1
	}
	b = appendString(append(b, executable), info.Loader)
	b = binary.AppendUvarint(b, uint64(len(info.Libraries)))
	for _, name := range info.Libraries {
		b = appendString(b, name)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Parse decodes what Append wrote at the start of b.
func Parse(b []byte) (info Info, err error) {
	bad := fmt.Errorf("damaged description of an ELF file")
	if len(b) < 3 {
		return Info{}, bad
	}
	info.Machine, info.Executable = elf.Machine(binary.LittleEndian.Uint16(b)), b[2] == 1
	b = b[3:]
	ok := true
	if info.Loader, b, ok = cutString(b); !ok {
		return Info{}, bad
	}
	count, n := binary.Uvarint(b)
	if n <= 0 || count > maxLibraries {
		return Info{}, bad
	}
	b = b[n:]
	for range count {
		var name string
		if name, b, ok = cutString(b); !ok {
			return Info{}, bad
		}
		info.Libraries = append(info.Libraries, name)
	}
	return info, nil
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return "", nil, false
	}
	b = b[n:]
	return string(b[:size]), b[size:], true
}
