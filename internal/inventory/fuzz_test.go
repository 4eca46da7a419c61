package inventory

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goProgram is the least ELF file in which the Go linker's notes are found: a header, a writable segment, the notes.
func goProgram(version, module string) []byte {
	const place = 128
	note := []byte("\xff Go buildinf:\x08\x02")
	note = append(note, make([]byte, 16)...)
	for _, text := range []string{version, module} {
		note = append(binary.AppendUvarint(note, uint64(len(text))), text...)
	}
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: place, Vaddr: 0x1000 + place,
		Filesz: uint64(len(note)), Memsz: uint64(len(note)),
	}
	program, _ := binary.Append(nil, binary.LittleEndian, header)
	program, _ = binary.Append(program, binary.LittleEndian, segment)
	program = append(program, make([]byte, place-len(program))...)
	return append(program, note...)
}

// module is what the linker notes of modules, between two marks of 16 bytes.
func module(lines ...string) string {
	const mark = "0123456789abcdef"
	return mark + strings.Join(lines, "\n") + "\n" + mark
}

func TestGoProgram(t *testing.T) {
	program := goProgram("go1.99", module("path\texample.com/app", "mod\texample.com/app\tv1.2.3\th1:x=", "build\t-trimpath=true"))
	scan := newScan(&spooled{file: spoolFile(t)}, false)
	info, err := scan.program(bytes.NewReader(program), int64(len(program)))
	if err != nil || info == nil || info.GoVersion != "go1.99" || info.Main.Version != "v1.2.3" {
		t.Errorf("%+v, error %v", info, err)
	}
}

func spoolFile(t testing.TB) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// FuzzContent looks at any file of a layer: it is a database, kept as it is, a Go program, or neither; never an error.
func FuzzContent(f *testing.F) {
	f.Add("var/lib/dpkg/status", []byte(status("a 1")), false)
	f.Add("usr/bin/app", goProgram("go1.99", module("path\tp", "mod\tp\tv1\th1:x=", "dep\td\tv2", "=>\te\tv3\th1:y=")), true)
	f.Add("usr/bin/app", goProgram("", ""), false)
	f.Add("etc/motd", []byte("hello"), true)
	file := spoolFile(f)
	f.Fuzz(func(t *testing.T, name string, data []byte, checksum bool) {
		spool := &spooled{file: file}
		found, err := newScan(spool, checksum).content(name, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if found == nil {
			found = &finding{}
		}
		var kept []byte
		if found.kept != nil {
			if kept, err = io.ReadAll(found.kept); err != nil {
				t.Fatal(err)
			}
		}
		if isDatabase(name) != (found.kept != nil) || found.kept != nil && !bytes.Equal(kept, data) || spool.end != int64(len(kept)) {
			t.Errorf("%d of %d bytes are kept, the spool ends at %d", len(kept), len(data), spool.end)
		}
		if sum := sha256.Sum256(data); checksum && (found.sha256 != hex.EncodeToString(sum[:]) || found.size != int64(len(data))) {
			t.Errorf("checksum %s of %d bytes", found.sha256, found.size)
		}
		if found.program != nil && !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
			t.Error("a Go program that is no ELF file")
		}
	})
}
