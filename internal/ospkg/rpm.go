package ospkg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// What is used of a header, rpmtag.h.
const (
	tagName      = 1000
	tagVersion   = 1001
	tagRelease   = 1002
	tagEpoch     = 1003
	tagVendor    = 1011
	tagLicense   = 1014
	tagPackager  = 1015
	tagArch      = 1022
	tagSourceRPM = 1044

	typeInt32      = 4
	typeString     = 6
	typeI18NString = 9
)

// ReadRPM reads rpm's database of size bytes in one of the forms that it has had: rpmdb.sqlite, Packages.db (ndb) or
// Packages (a Berkeley DB hash). The keys that rpm keeps as packages named gpg-pubkey are not in the result.
func ReadRPM(r io.ReaderAt, size int64) (packages []Package, err error) {
	if size > MaxDatabase {
		return nil, fmt.Errorf("%d bytes are more than the %d that are read", size, int64(MaxDatabase))
	}
	magic := make([]byte, 16)
	if err := readAt(r, magic, 0); err != nil {
		return nil, err
	}
	read := readBerkeley
	switch {
	case string(magic) == sqliteMagic:
		read = readSqlite
	case string(magic[:4]) == ndbMagic:
		read = readNdb
	}
	total := int64(0)
	err = read(r, size, func(blob []byte) error {
		// Blobs that share their bytes could be many times the database.
		if total += int64(len(blob)); total > size {
			return errors.New("the headers are larger than the database that holds them")
		}
		p, err := parseHeader(blob)
		if err != nil {
			return fmt.Errorf("header %d: %w", len(packages), err)
		}
		if p.Name == "gpg-pubkey" {
			return nil
		}
		if packages = append(packages, p); len(packages) > maxPackages {
			return fmt.Errorf("more than %d packages", maxPackages)
		}
		return nil
	})
	return packages, err
}

// readAt fills p.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	if n, err := r.ReadAt(p, off); n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			return fmt.Errorf("cut off: %d bytes at %d are not all there", len(p), off)
		}
		return err
	}
	return nil
}

// parseHeader reads a header as the database has it, without magic: number of index entries, bytes of data, the entries
// (tag, type, offset, count), the data; all big-endian (rpm's docs/manual/hregions.md and header.c).
func parseHeader(blob []byte) (Package, error) {
	p := Package{Type: RPM}
	if len(blob) < 8 {
		return p, fmt.Errorf("%d bytes are no header", len(blob))
	}
	entries := uint64(binary.BigEndian.Uint32(blob))
	length := uint64(binary.BigEndian.Uint32(blob[4:]))
	if 8+16*entries+length > uint64(len(blob)) {
		return p, fmt.Errorf("%d entries and %d bytes of data do not fit into %d bytes", entries, length, len(blob))
	}
	data := blob[8+16*entries : 8+16*entries+length]
	release := ""
	for entry := blob[8 : 8+16*entries]; len(entry) > 0; entry = entry[16:] {
		tag, kind := binary.BigEndian.Uint32(entry), binary.BigEndian.Uint32(entry[4:])
		target := map[uint32]*string{
			tagName: &p.Name, tagVersion: &p.Version, tagRelease: &release, tagEpoch: &p.Epoch, tagVendor: &p.Vendor,
			tagLicense: &p.License, tagPackager: &p.Maintainer, tagArch: &p.Arch, tagSourceRPM: &p.Source,
		}[tag]
		if target == nil {
			continue
		}
		value, err := headerValue(data, kind, binary.BigEndian.Uint32(entry[8:]))
		if err != nil {
			return p, fmt.Errorf("tag %d: %w", tag, err)
		}
		*target = value
	}
	if p.Name == "" || p.Version == "" || release == "" {
		return p, fmt.Errorf("a package lacks its name, version or release: %.80q, %.80q, %.80q", p.Name, p.Version, release)
	}
	p.Version += "-" + release
	return p, nil
}

// headerValue is the first value at an offset of a header's data.
func headerValue(data []byte, kind, offset uint32) (string, error) {
	if uint64(offset) > uint64(len(data)) {
		return "", fmt.Errorf("offset %d is beyond the %d bytes of data", offset, len(data))
	}
	data = data[offset:]
	switch kind {
	case typeString, typeI18NString:
		end := bytes.IndexByte(data[:min(len(data), maxLine)], 0)
		if end < 0 {
			return "", errors.New("a string without an end")
		}
		return string(data[:end]), nil
	case typeInt32:
		if len(data) < 4 {
			return "", errors.New("a number is cut off")
		}
		return strconv.FormatUint(uint64(binary.BigEndian.Uint32(data)), 10), nil
	}
	return "", fmt.Errorf("type %d is neither a string nor a 32 bit number", kind)
}

const ndbMagic = "RpmP"

// readNdb reads rpm's own format (rpm, lib/backend/ndb/rpmpkg.c): pages of slots, each of which names a blob, all
// little-endian. The first page begins with a header as long as two slots.
func readNdb(r io.ReaderAt, size int64, yield func([]byte) error) error {
	const page, slotSize, block = 4096, 16, 16
	head := make([]byte, 32)
	if err := readAt(r, head, 0); err != nil {
		return err
	}
	pages := int64(binary.LittleEndian.Uint32(head[12:]))
	if pages*page > size {
		return fmt.Errorf("%d pages of slots are more than there are", pages)
	}
	slots := make([]byte, pages*page)
	if err := readAt(r, slots, 0); err != nil {
		return err
	}
	for at := 2 * slotSize; at < len(slots); at += slotSize {
		slot := slots[at : at+slotSize]
		if string(slot[:4]) != "Slot" {
			return fmt.Errorf("the slot at byte %d is none", at)
		}
		offset := block * int64(binary.LittleEndian.Uint32(slot[8:]))
		if offset == 0 {
			continue // free
		}
		blobHead := make([]byte, 16)
		if err := readAt(r, blobHead, offset); err != nil {
			return err
		}
		length := int64(binary.LittleEndian.Uint32(blobHead[12:]))
		if string(blobHead[:4]) != "BlbS" || length > size {
			return fmt.Errorf("the blob at byte %d is none", offset)
		}
		blob := make([]byte, length)
		if err := readAt(r, blob, offset+16); err != nil {
			return err
		}
		if err := yield(blob); err != nil {
			return err
		}
	}
	return nil
}

// clampInt is n as an int that is no number of bytes when it is too large.
func clampInt(n uint64) int64 {
	return int64(min(n, math.MaxInt64/2))
}
