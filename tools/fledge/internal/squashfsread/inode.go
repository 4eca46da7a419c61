package squashfsread

import (
	"fmt"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// Inode types. The extended form of a type is extended higher.
const (
	typeDir = iota + 1
	typeFile
	typeSymlink
	typeBlockDevice
	typeCharDevice
	typeFIFO
	typeSocket
	extended = typeSocket
)

var types = [...]fstree.Type{
	0, fstree.Directory, fstree.Regular, fstree.Symlink, fstree.BlockDevice, fstree.CharDevice, fstree.FIFO, fstree.Socket,
}

// maxTarget is the longest target of a symlink, in bytes: the kernel shows no more than a page.
const maxTarget = 64 << 10

// inode is an inode as it stands in the table.
type inode struct {
	ref     uint64 // block's offset in the table << 16 | offset within the block
	kind    uint16 // basic type
	number  uint32
	mode    uint16
	uid     uint32
	gid     uint32
	mtime   uint32
	links   uint32
	xattrs  uint32
	target  string
	device  uint32
	size    uint64 // of a file's content, or of a directory's listing
	file    fileData
	listing listing
}

// fileData is where a file's content is.
type fileData struct {
	start, sparse    uint64
	fragment, offset uint32
	extended         bool
	sizes            cursor // at the sizes of the blocks
	blocks           uint64
}

// listing is where a directory's entries are.
type listing struct {
	block   uint32
	offset  uint16
	parent  uint32
	indexes uint16
	index   cursor // at the index
}

// readInode reads the inode at a reference. What follows it - the sizes of a file's blocks, a directory's index - is
// left to cursors.
func (r *Reader) readInode(ref uint64) (*inode, error) {
	n, err := r.inodeAt(ref)
	if err != nil {
		return nil, fmt.Errorf("inode at %d+%d: %w", ref>>16, ref&0xffff, err)
	}
	return n, nil
}

func (r *Reader) inodeAt(ref uint64) (*inode, error) {
	c := r.seek(&r.inodes, ref>>16, uint16(ref))
	b, err := c.take(16)
	if err != nil {
		return nil, err
	}
	kind, uid, gid := le.Uint16(b), le.Uint16(b[4:]), le.Uint16(b[6:])
	n := &inode{
		ref: ref, kind: kind, mode: le.Uint16(b[2:]), mtime: le.Uint32(b[8:]), number: le.Uint32(b[12:]),
		links: 1, xattrs: noXattrs,
	}
	switch {
	case kind == 0 || kind > typeSocket+extended:
		return nil, fmt.Errorf("unknown type %d", kind)
	case n.mode > 0o7777:
		return nil, fmt.Errorf("mode %o", n.mode)
	case n.number == 0 || n.number > r.super.inodes:
		return nil, fmt.Errorf("number %d of %d", n.number, r.super.inodes)
	}
	if n.uid, err = r.id(uid); err != nil {
		return nil, err
	}
	if n.gid, err = r.id(gid); err != nil {
		return nil, err
	}
	isExtended := kind > extended
	if isExtended {
		n.kind -= extended
	}
	switch n.kind {
	case typeDir:
		return n, n.readDir(&c, isExtended)
	case typeFile:
		return n, n.readFile(&c, isExtended)
	}
	return n, n.readSpecial(&c, isExtended)
}

func (n *inode) readDir(c *cursor, isExtended bool) error {
	size := 16
	if isExtended {
		size = 24
	}
	b, err := c.take(size)
	if err != nil {
		return err
	}
	if isExtended {
		n.links, n.size = le.Uint32(b), uint64(le.Uint32(b[4:]))
		n.listing = listing{block: le.Uint32(b[8:]), parent: le.Uint32(b[12:]), indexes: le.Uint16(b[16:]),
			offset: le.Uint16(b[18:])}
		n.xattrs = le.Uint32(b[20:])
		n.listing.index = *c
	} else {
		n.links, n.size = le.Uint32(b[4:]), uint64(le.Uint16(b[8:]))
		n.listing = listing{block: le.Uint32(b), offset: le.Uint16(b[10:]), parent: le.Uint32(b[12:])}
	}
	// "." and ".." count for 3 bytes.
	if n.size < 3 && n.size != 0 {
		return fmt.Errorf("directory of %d bytes", n.size)
	}
	n.size = max(n.size, 3) - 3
	if int64(n.size) > c.r.dirBytes {
		return fmt.Errorf("directory of %d bytes, more than all directories have", n.size)
	}
	return nil
}

func (n *inode) readFile(c *cursor, isExtended bool) error {
	size := 16
	if isExtended {
		size = 40
	}
	b, err := c.take(size)
	if err != nil {
		return err
	}
	f := fileData{extended: isExtended}
	if isExtended {
		f.start, n.size, f.sparse = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
		n.links, f.fragment, f.offset, n.xattrs = le.Uint32(b[24:]), le.Uint32(b[28:]), le.Uint32(b[32:]), le.Uint32(b[36:])
	} else {
		f.start, f.fragment, f.offset = uint64(le.Uint32(b)), le.Uint32(b[4:]), le.Uint32(b[8:])
		n.size = uint64(le.Uint32(b[12:]))
	}
	if n.size > 1<<62 {
		return fmt.Errorf("file of %d bytes", n.size)
	}
	blockSize := uint64(c.r.super.blockSize)
	f.blocks = n.size / blockSize
	tail := n.size % blockSize
	switch {
	case f.fragment == noFragment && tail > 0:
		f.blocks++
	case f.fragment != noFragment && f.fragment >= c.r.super.fragments:
		return fmt.Errorf("fragment block %d of %d", f.fragment, c.r.super.fragments)
	case f.fragment != noFragment && (tail == 0 || uint64(f.offset)+tail > blockSize):
		return fmt.Errorf("%d bytes at byte %d of a fragment block", tail, f.offset)
	}
	if f.blocks > uint64(c.r.inodeBytes)/4 {
		return fmt.Errorf("file of %d bytes, whose list of blocks has no room in the inode table", n.size)
	}
	f.sizes = *c
	n.file = f
	return nil
}

// readSpecial reads an inode that is neither directory nor file.
func (n *inode) readSpecial(c *cursor, isExtended bool) error {
	b, err := c.take(4)
	if err != nil {
		return err
	}
	n.links = le.Uint32(b)
	switch n.kind {
	case typeSymlink:
		if b, err = c.take(4); err != nil {
			return err
		}
		size := le.Uint32(b)
		if size == 0 || size > maxTarget {
			return fmt.Errorf("symlink with a target of %d bytes", size)
		}
		if n.target, err = c.text(int(size)); err != nil {
			return err
		}
		n.size = uint64(size)
	case typeBlockDevice, typeCharDevice:
		if b, err = c.take(4); err != nil {
			return err
		}
		n.device = le.Uint32(b)
	}
	if isExtended {
		if b, err = c.take(4); err != nil {
			return err
		}
		n.xattrs = le.Uint32(b)
	}
	return nil
}

// entry is the inode under a name of it.
func (r *Reader) entry(path string, n *inode) (*artifact.Entry, error) {
	e := &artifact.Entry{
		Path: path, Type: types[n.kind], Mode: n.mode, UID: n.uid, GID: n.gid, ModTime: int64(n.mtime),
		Target: n.target, Links: n.links, Inode: uint64(n.number), Ref: n.ref,
	}
	if e.IsDevice() {
		e.Major, e.Minor = n.device>>8&0xfff, n.device&0xff|n.device>>12&^0xff
	}
	var err error
	if e.Xattrs, err = r.xattrsOf(n.xattrs); err != nil {
		return nil, err
	}
	if n.kind == typeFile || n.kind == typeSymlink {
		e.Size = int64(n.size)
	}
	if n.kind == typeFile {
		e.Stored, err = r.stored(n)
	}
	return e, err
}
