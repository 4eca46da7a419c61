package squashfsread

import (
	"errors"
	"fmt"
	"math"
)

// table is a table of records of one size, which lie in metadata blocks that a list of offsets points to. The list is
// what the superblock points to.
type table struct {
	region
	recordSize int
	count      uint64
	list       []uint64 // offsets of the metadata blocks
	end        int64    // of the list
}

func (t *table) perBlock() uint64 { return uint64(metadataSize / t.recordSize) }

// readTable reads the list of a table whose list is at an offset.
func (r *Reader) readTable(name string, at, count uint64, recordSize int) (*table, error) {
	t := &table{region: region{name: name}, recordSize: recordSize, count: count}
	n := (count + t.perBlock() - 1) / t.perBlock()
	if n > (r.super.used-at)/8 {
		return nil, fmt.Errorf("%s at byte %d: no room for the places of %d records", name, at, count)
	}
	raw := make([]byte, 8*n)
	if _, err := r.r.ReadAt(raw, int64(at)); err != nil {
		return nil, fmt.Errorf("%s at byte %d: %w", name, at, noEOF(err))
	}
	t.list = make([]uint64, n)
	t.start, t.end = int64(at), int64(at)
	for i := range t.list {
		v := le.Uint64(raw[8*i:])
		if v < superblockSize || v >= at || i > 0 && v <= t.list[i-1] {
			return nil, fmt.Errorf("%s at byte %d: block %d of it at byte %d, which is no place for it", name, at, i, v)
		}
		t.list[i] = v
	}
	if n > 0 {
		t.start = int64(t.list[0])
	}
	t.region.end = int64(at)
	t.end = int64(at) + int64(len(raw))
	return t, nil
}

// record reads a record, whose bytes are there until the next metadata block is read.
func (r *Reader) record(t *table, i uint64) ([]byte, error) {
	if t == nil || i >= t.count {
		return nil, fmt.Errorf("there is no record %d", i)
	}
	b, err := r.block(&t.region, int64(t.list[i/t.perBlock()]))
	if err != nil {
		return nil, err
	}
	at := int(i%t.perBlock()) * t.recordSize
	if at+t.recordSize > len(b.data) {
		return nil, fmt.Errorf("%s: metadata block at byte %d ends before record %d", t.name, t.list[i/t.perBlock()], i)
	}
	return b.data[at : at+t.recordSize], nil
}

// id is an owner or a group.
func (r *Reader) id(i uint16) (uint32, error) {
	b, err := r.record(r.ids, uint64(i))
	if err != nil {
		return 0, fmt.Errorf("owner number %d: %w", i, err)
	}
	return le.Uint32(b), nil
}

// uncompressed is set in the size of a data block that is stored as it is.
const uncompressed = 1 << 24

// dataBlock is where a block of data is in the image; its size has the bit uncompressed.
type dataBlock struct {
	at   uint64
	size uint32
}

// stored is what the block takes in the image, in bytes.
func (b dataBlock) stored() int64 { return int64(b.size &^ uncompressed) }

// checkData checks that a data block lies where data is.
func (r *Reader) checkData(b dataBlock) error {
	size := uint64(b.stored())
	switch {
	case size > uint64(r.super.blockSize):
		return fmt.Errorf("data block of %d bytes, more than the block size", size)
	case b.at < superblockSize || b.at > r.super.inodeTable || size > r.super.inodeTable-b.at:
		return fmt.Errorf("data block at byte %d, where no data is", b.at)
	}
	return nil
}

func (r *Reader) fragment(i uint32) (dataBlock, error) {
	b, err := r.record(r.fragments, uint64(i))
	if err != nil {
		return dataBlock{}, fmt.Errorf("fragment block %d: %w", i, err)
	}
	d := dataBlock{le.Uint64(b), le.Uint32(b[8:])}
	if d.size == 0 {
		err = errors.New("it is empty")
	} else {
		err = r.checkData(d)
	}
	if err != nil {
		return dataBlock{}, fmt.Errorf("fragment block %d: %w", i, err)
	}
	return d, nil
}

// openTables reads the lists of all tables, from which the ends of the others follow.
func (r *Reader) openTables() (err error) {
	s := &r.super
	if r.ids, err = r.readTable("id table", s.idTable, uint64(s.ids), 4); err != nil {
		return err
	}
	if s.fragments > 0 {
		r.fragments, err = r.readTable("fragment table", s.fragmentTable, uint64(s.fragments), 16)
		if err != nil {
			return err
		}
	}
	if s.exportTable != noTable {
		if r.export, err = r.readTable("export table", s.exportTable, uint64(s.inodes), 8); err != nil {
			return err
		}
	}
	if s.xattrTable != noTable {
		if err := r.openXattrs(); err != nil {
			return err
		}
	}
	r.inodes = region{"inode table", int64(s.inodeTable), int64(s.dirTable)}
	r.dirs = region{"directory table", int64(s.dirTable), r.dirEnd()}
	if r.inodeBytes, err = r.unpackedSize(&r.inodes); err != nil {
		return err
	}
	if uint64(s.inodes)*minInode > uint64(r.inodeBytes) {
		return fmt.Errorf("inode table: no room for %d inodes", s.inodes)
	}
	r.dirBytes, err = r.unpackedSize(&r.dirs)
	return err
}

// dirEnd is where the directory table ends: at the next table.
func (r *Reader) dirEnd() int64 {
	end := int64(min(r.super.used, math.MaxInt64))
	for _, at := range []uint64{r.super.idTable, r.super.xattrTable, r.super.fragmentTable, r.super.exportTable} {
		if at != noTable {
			end = min(end, int64(at))
		}
	}
	for _, t := range []*table{r.ids, r.fragments, r.export} {
		if t != nil && t.start > int64(r.super.dirTable) {
			end = min(end, t.start)
		}
	}
	if r.xattrs != nil {
		end = min(end, r.keys.start)
	}
	return end
}
