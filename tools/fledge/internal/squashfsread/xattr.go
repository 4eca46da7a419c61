package squashfsread

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
)

// Bounds of Linux on extended attributes (include/uapi/linux/limits.h), and on all of an inode.
const (
	maxXattrName  = 255
	maxXattrValue = 64 << 10
	maxXattrs     = 16 << 20 // bytes of an inode
)

// outOfLine is set in the type of an attribute whose value stands elsewhere.
const outOfLine = 1 << 8

var xattrPrefixes = [...]string{"user.", "trusted.", "security."}

// openXattrs reads where the attributes of inodes are listed.
func (r *Reader) openXattrs() (err error) {
	at := r.super.xattrTable
	var head [16]byte // place of the names and values, count
	if r.super.used-at < uint64(len(head)) {
		return errors.New("xattr table: cut off")
	}
	if _, err := r.r.ReadAt(head[:], int64(at)); err != nil {
		return fmt.Errorf("xattr table: %w", noEOF(err))
	}
	start, count := le.Uint64(head[:]), uint64(le.Uint32(head[8:]))
	if r.xattrs, err = r.readTable("xattr id table", at+16, count, 16); err != nil {
		return err
	}
	r.xattrs.region.end = int64(at) // the head is between the blocks and their list
	end := at
	if len(r.xattrs.list) > 0 {
		end = r.xattrs.list[0]
	}
	if start <= r.super.dirTable || start > end {
		return fmt.Errorf("xattr table at byte %d: names and values at byte %d", at, start)
	}
	r.keys = region{"xattr table", int64(start), int64(end)}
	return nil
}

// xattrsOf reads the attributes with an index of the table, sorted by name.
func (r *Reader) xattrsOf(index uint32) ([]fstree.Xattr, error) {
	if index == noXattrs {
		return nil, nil
	}
	b, err := r.record(r.xattrs, uint64(index))
	if err != nil {
		return nil, fmt.Errorf("extended attributes %d: %w", index, err)
	}
	// The size that follows is not looked at: nobody reads it, and its writers do not agree what it counts.
	place, count := le.Uint64(b), le.Uint32(b[8:])
	if count == 0 {
		return nil, fmt.Errorf("extended attributes %d: none", index)
	}
	c := r.seek(&r.keys, place>>16, uint16(place))
	var list []fstree.Xattr
	total := 0
	for range count {
		x, err := c.xattr()
		if err != nil {
			return nil, fmt.Errorf("extended attributes %d: %w", index, err)
		}
		list = append(list, x)
		if total += 64 + len(x.Name) + len(x.Value); total > maxXattrs {
			return nil, fmt.Errorf("extended attributes %d: more than %d bytes", index, maxXattrs)
		}
	}
	slices.SortFunc(list, func(a, b fstree.Xattr) int { return strings.Compare(a.Name, b.Name) })
	for i := range list {
		if i > 0 && list[i].Name == list[i-1].Name {
			return nil, fmt.Errorf("extended attributes %d: %q twice", index, list[i].Name)
		}
	}
	return list, nil
}

// xattr reads one attribute.
func (c *cursor) xattr() (x fstree.Xattr, err error) {
	b, err := c.take(4)
	if err != nil {
		return x, err
	}
	kind, size := le.Uint16(b), int(le.Uint16(b[2:]))
	prefix := int(kind &^ outOfLine)
	if prefix >= len(xattrPrefixes) {
		return x, fmt.Errorf("unknown kind of attribute %d", kind)
	}
	if size == 0 || size > maxXattrName {
		return x, fmt.Errorf("name of %d bytes", size)
	}
	name, err := c.text(size)
	if err != nil {
		return x, err
	}
	if strings.IndexByte(name, 0) >= 0 {
		return x, fmt.Errorf("name %q", name)
	}
	x.Name = xattrPrefixes[prefix] + name
	if kind&outOfLine == 0 {
		x.Value, err = c.xattrValue()
		return x, err
	}
	if b, err = c.take(12); err != nil {
		return x, err
	}
	if n := le.Uint32(b); n != 8 {
		return x, fmt.Errorf("%q: the place of its value has %d bytes, not 8", x.Name, n)
	}
	place := le.Uint64(b[4:])
	elsewhere := c.r.seek(c.in, place>>16, uint16(place))
	x.Value, err = elsewhere.xattrValue()
	return x, err
}

func (c *cursor) xattrValue() ([]byte, error) {
	b, err := c.take(4)
	if err != nil {
		return nil, err
	}
	size := le.Uint32(b)
	if size > maxXattrValue {
		return nil, fmt.Errorf("value of %d bytes, more than %d", size, maxXattrValue)
	}
	value := make([]byte, size)
	return value, c.read(value)
}
