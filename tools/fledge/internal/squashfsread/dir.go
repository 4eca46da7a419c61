package squashfsread

import (
	"errors"
	"fmt"
	"strings"
)

// maxRun is how many entries share a header in a listing.
const maxRun = 256

// dirent is an entry of a directory.
type dirent struct {
	name   string
	ref    uint64
	number uint32
	kind   uint16
}

// run is a header in a listing and what an index says of it.
type run struct {
	at    uint32 // bytes of the listing before it
	block uint32 // offset of its metadata block in the directory table
	first string // name of its first entry
}

// readListing reads the entries of a directory. With runs it tells of its headers, for the index.
func (r *Reader) readListing(n *inode, runs *[]run) ([]dirent, error) {
	if n.size == 0 {
		return nil, nil
	}
	c := r.seek(&r.dirs, uint64(n.listing.block), n.listing.offset)
	var list []dirent
	left := int64(n.size)
	for left > 0 {
		if err := c.skipEnd(); err != nil {
			return nil, err
		}
		at := run{at: uint32(int64(n.size) - left), block: uint32(c.at - r.dirs.start)}
		b, err := c.take(12)
		if err != nil {
			return nil, err
		}
		count, block, base := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])
		if count >= maxRun {
			return nil, fmt.Errorf("directory table: header with %d entries, more than %d", uint64(count)+1, maxRun)
		}
		left -= 12
		for range count + 1 {
			d, err := c.dirent(block, base)
			if err != nil {
				return nil, err
			}
			if k := len(list); k > 0 && d.name <= list[k-1].name {
				return nil, fmt.Errorf("directory table: %q after %q, not in order", d.name, list[k-1].name)
			}
			list = append(list, d)
			left -= int64(8 + len(d.name))
		}
		if runs != nil {
			at.first = list[len(list)-1-int(count)].name
			*runs = append(*runs, at)
		}
	}
	if left < 0 {
		return nil, errors.New("directory table: the last entry ends behind the end of its directory")
	}
	return list, nil
}

func (c *cursor) dirent(block, base uint32) (dirent, error) {
	b, err := c.take(8)
	if err != nil {
		return dirent{}, err
	}
	d := dirent{
		ref:    uint64(block)<<16 | uint64(le.Uint16(b)),
		number: base + uint32(int32(int16(le.Uint16(b[2:])))),
		kind:   le.Uint16(b[4:]),
	}
	size := int(le.Uint16(b[6:])) + 1
	if size > 256 { // SQUASHFS_NAME_LEN
		return dirent{}, fmt.Errorf("directory table: name of %d bytes", size)
	}
	if d.name, err = c.text(size); err != nil {
		return dirent{}, err
	}
	if d.name == "." || d.name == ".." || strings.ContainsAny(d.name, "/\x00") {
		return dirent{}, fmt.Errorf("directory table: %q is no name", d.name)
	}
	return d, nil
}

// child reads the inode of an entry, which must be what the entry says.
func (r *Reader) child(d dirent) (*inode, error) {
	n, err := r.readInode(d.ref)
	switch {
	case err != nil:
		return nil, err
	case n.kind != d.kind:
		return nil, fmt.Errorf("the directory says it has type %d, its inode %d", d.kind, n.kind)
	case n.number != d.number:
		return nil, fmt.Errorf("the directory says it is inode %d, the inode says %d", d.number, n.number)
	}
	return n, nil
}
