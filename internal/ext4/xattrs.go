package ext4

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/posixacl"
)

const (
	xattrMagic      = 0xea020000
	xattrEntrySize  = 16 // without the name
	xattrHeaderSize = 32 // of a block
	xattrEnd        = 4  // zeros behind the last entry
	maxShared       = 1024

	extraSize  = 32 // of an inode, beyond the first 128 bytes
	xattrInode = 128 + extraSize
	inodeRoom  = inodeSize - xattrInode - 4 // behind the magic number
	blockRoom  = blockSize - xattrHeaderSize
)

// Namespaces of extended attributes. The kernel has only these; of the others, POSIX ACLs are whole names.
const (
	xattrUser       = 1
	xattrACL        = 2
	xattrDefaultACL = 3
	xattrTrusted    = 4
	xattrSecurity   = 6
)

var xattrPrefixes = []struct {
	prefix string
	index  uint8
}{{"user.", xattrUser}, {"trusted.", xattrTrusted}, {"security.", xattrSecurity}}

// xattr is an attribute in its form on disk.
type xattr struct {
	index uint8
	name  string // without the namespace
	value []byte
}

// size is what it takes of an inode's or a block's room.
func (x *xattr) size() int { return align4(xattrEntrySize+len(x.name)) + align4(len(x.value)) }

func align4(n int) int { return (n + 3) &^ 3 }

// Dropped tells of extended attributes that an image cannot hold: of namespaces that Linux does not have, POSIX ACLs
// that the kernel would refuse, and those of files that cannot have one.
type Dropped struct {
	Count int
	Name  string // of the first
	Path  string // of the file that has it
}

// convert gives the attribute's form on disk. ok is false when there is none.
func convert(a fstree.Xattr, kind fstree.Type) (x xattr, ok bool) {
	switch {
	case a.Name == posixacl.Access && kind != fstree.Symlink:
		value, err := encodeACL(a.Value)
		return xattr{index: xattrACL, value: value}, err == nil
	case a.Name == posixacl.Default && kind == fstree.Directory:
		value, err := encodeACL(a.Value)
		return xattr{index: xattrDefaultACL, value: value}, err == nil
	}
	for _, p := range xattrPrefixes {
		if name, ok := strings.CutPrefix(a.Name, p.prefix); ok && name != "" {
			return xattr{p.index, name, a.Value}, true
		}
	}
	return xattr{}, false
}

// splitXattrs converts a node's attributes and tells which lie in the inode and which in a block: like the kernel, in
// the inode as long as there is room.
func splitXattrs(n *fstree.Node, drop func(name string)) (inside, block []xattr, err error) {
	insideRoom, room := inodeRoom-xattrEnd, blockRoom-xattrEnd
	total := 0
	for _, a := range n.Xattrs() {
		x, ok := convert(a, n.Type)
		if !ok {
			drop(a.Name)
			continue
		}
		size := x.size()
		total += size
		if size <= insideRoom {
			insideRoom -= size
			inside = append(inside, x)
			continue
		}
		room -= size
		block = append(block, x)
	}
	if room < 0 {
		return nil, nil, fmt.Errorf("its extended attributes take %d bytes, of which ext4 has room for about %d; "+
			"shorten or remove them, or make a squashfs image", total, blockRoom+inodeRoom)
	}
	slices.SortFunc(inside, compareXattrs)
	slices.SortFunc(block, compareXattrs)
	return inside, block, nil
}

// compareXattrs is the order of entries, in which the kernel looks for them.
func compareXattrs(a, b xattr) int {
	return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(len(a.name), len(b.name)), strings.Compare(a.name, b.name))
}

// putXattrs writes entries to the front of b and their values to its end. Offsets of values count from base before b.
// It returns the hash of all.
func putXattrs(b []byte, list []xattr, base int) (all uint32) {
	at, end := 0, len(b)
	for _, x := range list {
		e := b[at:]
		e[0], e[1] = uint8(len(x.name)), x.index
		if len(x.value) > 0 {
			end -= align4(len(x.value))
			le.PutUint16(e[2:], uint16(base+end))
			copy(b[end:], x.value)
		}
		le.PutUint32(e[8:], uint32(len(x.value)))
		hash := hashXattr(x)
		le.PutUint32(e[12:], hash)
		copy(e[xattrEntrySize:], x.name)
		at += align4(xattrEntrySize + len(x.name))
		all = all<<16 ^ all>>16 ^ hash
	}
	return all
}

func hashXattr(x xattr) (h uint32) {
	for i := range len(x.name) {
		h = h<<5 ^ h>>27 ^ uint32(x.name[i])
	}
	value := append(bytes.Clone(x.value), 0, 0, 0)
	for ; len(value) >= 4; value = value[4:] {
		h = h<<16 ^ h>>16 ^ le.Uint32(value)
	}
	return h
}

// xattrBlock is a block of attributes. Inodes with the same ones share it.
type xattrBlock struct {
	list  []xattr
	users uint32
	place uint64 // in the image
}

// xattrBlocks are the blocks of an image.
type xattrBlocks struct {
	list []*xattrBlock
	open map[string]*xattrBlock // by what is in them; those that have room for another user
}

// add gives the block with the attributes.
func (x *xattrBlocks) add(list []xattr) *xattrBlock {
	var key []byte
	for _, a := range list {
		key = append(le.AppendUint32(append(key, a.index, uint8(len(a.name))), uint32(len(a.value))), a.name...)
		key = append(key, a.value...)
	}
	b, ok := x.open[string(key)]
	if !ok {
		b = &xattrBlock{list: list}
		x.list = append(x.list, b)
		if x.open == nil {
			x.open = map[string]*xattrBlock{}
		}
		x.open[string(key)] = b
	}
	if b.users++; b.users == maxShared {
		delete(x.open, string(key))
	}
	return b
}

// encode is the block. seed is the file system's.
func (x *xattrBlock) encode(seed uint32) []byte {
	b := make([]byte, blockSize)
	le.PutUint32(b, xattrMagic)
	le.PutUint32(b[4:], x.users)
	le.PutUint32(b[8:], 1) // blocks
	le.PutUint32(b[12:], putXattrs(b[xattrHeaderSize:], x.list, xattrHeaderSize))
	le.PutUint32(b[16:], checksum(checksum(seed, le.AppendUint64(nil, x.place)), b))
	return b
}
