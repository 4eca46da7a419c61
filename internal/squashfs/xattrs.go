package squashfs

import (
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
)

// xattrPrefixes are the namespaces that squashfs knows, at their numbers.
var xattrPrefixes = []string{"user.", "trusted.", "security."}

const (
	xattrOutOfLine = 0x100 // type flag: the value is a reference to one stored before
	// inlineMax is the length up to which a value is stored again rather than referred to, as in mksquashfs.
	inlineMax = 128
	// An entry of the xattr id table: reference, count, size.
	xattrIDSize = 8 + 4 + 4
)

// xattrSet is one set of extended attributes; inodes with the same set share it.
type xattrSet struct {
	at          place
	count, size uint32
}

// xattrs collects the extended attributes of an image.
type xattrs struct {
	pairs   *table
	sets    []xattrSet
	known   map[string]uint32 // encoded sets to their number
	values  map[string]place  // long values to where they are
	dropped Dropped
}

// Dropped tells of extended attributes that squashfs cannot store, those outside of user, trusted and security.
type Dropped struct {
	Count int
	Name  string // of the first
	Path  string // of the file that has it
}

func newXattrs(p *pool) *xattrs {
	return &xattrs{
		pairs: newTable("xattr table", p), known: map[string]uint32{}, values: map[string]place{},
	}
}

// add gives the number of the set of attributes, noXattrs for none. path is the inode's, for what is dropped.
func (x *xattrs) add(list []fstree.Xattr, path func() string) (uint32, error) {
	if len(list) == 0 {
		return noXattrs, nil
	}
	var key []byte
	kept := make([]fstree.Xattr, 0, len(list))
	for _, a := range list {
		if _, _, ok := splitXattr(a.Name); !ok {
			if x.dropped.Count == 0 {
				x.dropped.Name, x.dropped.Path = a.Name, path()
			}
			x.dropped.Count++
			continue
		}
		kept = append(kept, a)
		key = le.AppendUint32(le.AppendUint32(key, uint32(len(a.Name))), uint32(len(a.Value)))
		key = append(append(key, a.Name...), a.Value...)
	}
	if len(kept) == 0 {
		return noXattrs, nil
	}
	if n, ok := x.known[string(key)]; ok {
		return n, nil
	}
	n := uint32(len(x.sets))
	x.known[string(key)] = n
	set := xattrSet{at: x.pairs.next(), count: uint32(len(kept))}
	for _, a := range kept {
		size, err := x.pair(a)
		if err != nil {
			return 0, err
		}
		set.size += uint32(size)
	}
	x.sets = append(x.sets, set)
	return n, nil
}

// pair stores one attribute and gives the bytes it takes.
func (x *xattrs) pair(a fstree.Xattr) (int, error) {
	kind, name, _ := splitXattr(a.Name)
	at, seen := x.values[string(a.Value)]
	if seen {
		kind |= xattrOutOfLine
	}
	b := le.AppendUint16(nil, kind)
	b = le.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	if seen {
		b = le.AppendUint32(b, 8)
		x.pairs.refer(len(b)+2, x.pairs, at.block) // a reference is the block's start << 16 and the offset in it
		b = le.AppendUint64(b, uint64(at.offset))
		return len(b), x.pairs.append(b)
	}
	if err := x.pairs.append(b); err != nil {
		return 0, err
	}
	if len(a.Value) > inlineMax {
		x.values[string(a.Value)] = x.pairs.next()
	}
	value := append(le.AppendUint32(nil, uint32(len(a.Value))), a.Value...)
	return len(b) + len(value), x.pairs.append(value)
}

// splitXattr gives the number of the name's namespace and what follows it.
func splitXattr(full string) (kind uint16, name string, ok bool) {
	for i, prefix := range xattrPrefixes {
		if name, ok := strings.CutPrefix(full, prefix); ok && name != "" {
			return uint16(i), name, true
		}
	}
	return 0, "", false
}

// table is the lookup table of the sets. pairs must be finished.
func (x *xattrs) table(p *pool) (*table, error) {
	out := newTable("xattr id table", p)
	for _, s := range x.sets {
		start, err := x.pairs.start(s.at.block)
		if err != nil {
			return nil, err
		}
		b := le.AppendUint64(make([]byte, 0, xattrIDSize), start<<16|uint64(s.at.offset))
		b = le.AppendUint32(b, s.count)
		if err := out.append(le.AppendUint32(b, s.size)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
