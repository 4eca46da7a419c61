package kmod

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

// bomb makes a section of a module one that is compressed and unpacks to size zeros.
func bomb(t *testing.T, section, size int) []byte {
	t.Helper()
	b := bytes.NewBuffer(module(""))
	at := b.Len()
	if err := binary.Write(b, binary.LittleEndian, elf.Chdr64{Type: uint32(elf.COMPRESS_ZLIB), Size: uint64(size)}); err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewWriterLevel(b, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	header := file[int(binary.LittleEndian.Uint64(file[40:]))+section*64:]
	binary.LittleEndian.PutUint64(header[8:], uint64(elf.SHF_COMPRESSED))
	binary.LittleEndian.PutUint64(header[24:], uint64(at))
	binary.LittleEndian.PutUint64(header[32:], uint64(len(file)-at))
	return file
}

// TestCompressedSections: neither the section that is asked for nor the one that package elf reads for itself unpacks to
// more than the file has.
func TestCompressedSections(t *testing.T) {
	const size = 64 << 20
	for section, name := range []string{1: ".modinfo", 2: ".shstrtab"} {
		if name == "" {
			continue
		}
		file := bomb(t, section, size)
		fuzztest.Limit(t, size/8, func() {
			if _, err := parseModinfo(file); err == nil || !strings.Contains(err.Error(), "is compressed") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestXzDictionary: a header of xz gets no more memory than a dictionary may have, whatever it asks for.
func TestXzDictionary(t *testing.T) {
	file := compressed(t, ".xz", module(""))
	const block = 12 // behind the header of the stream; the size of the dictionary is in its fifth byte
	file[block+4] = 40
	end := block + int(file[block])*4
	binary.LittleEndian.PutUint32(file[end:], crc32.ChecksumIEEE(file[block:end]))
	dir := t.TempDir()
	writeTree(t, dir, map[string][]byte{"modules.builtin": nil, "a.ko.xz": file})
	fuzztest.Limit(t, 2*maxDictionary, func() {
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "a.ko.xz: ") {
			t.Errorf("%v", err)
		}
	})
}
