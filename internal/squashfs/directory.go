package squashfs

import (
	"math"

	"github.com/fledge-build/fledge/internal/fstree"
)

const (
	maxRun       = 256 // entries behind one header of a listing
	headerSize   = 4 + 4 + 4
	listingExtra = 3              // the size that an inode tells exceeds the listing's, for "." and ".."
	maxBasicSize = math.MaxUint16 // of a listing, as a basic inode tells it
)

// listing is a directory's list of entries. It consists of runs: a header, and the entries that share what it says.
type listing struct {
	buf   []byte
	first place // of the listing in its table

	// The run being filled.
	header int // offset in buf
	count  int
	block  int    // of the inode table
	number uint32 // inode number that the entries' are relative to

	headers []headerRef
	index   []indexEntry
	indexed int // the block of the listing's table that the last index entry is in
}

// headerRef is a header whose block's start is to be filled in.
type headerRef struct{ at, block int }

// indexEntry leads to a header in a large listing.
type indexEntry struct {
	at   int // in the listing
	name string
}

// blockOf is the block of the directory table that offset at of the listing falls into.
func (l *listing) blockOf(at int) int { return l.first.block + (int(l.first.offset)+at)/metadataSize }

// add appends an entry. at is its inode's place.
func (l *listing) add(name string, kind uint16, number uint32, at uint64) {
	block := int(at >> 16)
	delta := int64(number) - int64(l.number)
	crossed := len(l.buf) > 0 && l.blockOf(len(l.buf)) > l.indexed
	if l.count == 0 || l.count == maxRun || block != l.block || delta != int64(int16(delta)) || crossed {
		l.endRun()
		if crossed && len(l.index) < math.MaxUint16 {
			l.index = append(l.index, indexEntry{len(l.buf), name})
			l.indexed = l.blockOf(len(l.buf))
		}
		l.header, l.count, l.block, l.number, delta = len(l.buf), 0, block, number, 0
		l.headers = append(l.headers, headerRef{l.header + 4, block})
		l.buf = append(l.buf, make([]byte, headerSize)...)
		le.PutUint32(l.buf[l.header+8:], number)
	}
	l.count++
	l.buf = le.AppendUint16(l.buf, uint16(at))
	l.buf = le.AppendUint16(l.buf, uint16(int16(delta)))
	l.buf = le.AppendUint16(l.buf, kind)
	l.buf = le.AppendUint16(l.buf, uint16(len(name)-1))
	l.buf = append(l.buf, name...)
}

func (l *listing) endRun() {
	if l.count > 0 {
		le.PutUint32(l.buf[l.header:], uint32(l.count-1))
	}
}

// directory describes the directories at and below n: the children's inodes before their parent's. next is the first
// free inode number.
func (img *image) directory(n *fstree.Node, number, parent, next uint32) (uint32, error) {
	list, next := img.numbers(n, next)
	for i, d := range n.Children() {
		if d.Node.Type != fstree.Directory {
			continue
		}
		var err error
		img.path = append(img.path, d.Name)
		if next, err = img.directory(d.Node, list[i], number, next); err != nil {
			return 0, err
		}
		img.path = img.path[:len(img.path)-1]
	}
	img.stats.Directories++
	l := listing{first: img.dirs.next()}
	l.indexed = l.first.block
	for i, d := range n.Children() {
		l.add(d.Name, basicType(d.Node.Type), list[i], img.places[list[i]-1])
	}
	l.endRun()
	for _, h := range l.headers {
		img.dirs.refer(h.at, img.inodes, h.block)
	}
	err := img.dirs.append(l.buf)
	if err == nil {
		err = img.directoryInode(n, number, parent, &l)
	}
	if err != nil {
		return 0, img.fail("", err)
	}
	return next, nil
}

func (img *image) directoryInode(n *fstree.Node, number, parent uint32, l *listing) error {
	xattrs, err := img.xattrs.add(n.Xattrs(), func() string { return img.pathOf("") })
	if err != nil {
		return err
	}
	size := len(l.buf) + listingExtra
	if xattrs == noXattrs && len(l.index) == 0 && size <= maxBasicSize {
		b, err := img.start(typeDir, n, number)
		if err != nil {
			return err
		}
		img.inodes.refer(len(b), img.dirs, l.first.block)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, n.Links)
		b = le.AppendUint16(b, uint16(size))
		b = le.AppendUint16(b, l.first.offset)
		return img.addInode(le.AppendUint32(b, parent), number)
	}
	b, err := img.start(typeDir+extended, n, number)
	if err != nil {
		return err
	}
	b = le.AppendUint32(b, n.Links)
	b = le.AppendUint32(b, uint32(size))
	img.inodes.refer(len(b), img.dirs, l.first.block)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, parent)
	b = le.AppendUint16(b, uint16(len(l.index)))
	b = le.AppendUint16(b, l.first.offset)
	b = le.AppendUint32(b, xattrs)
	for _, e := range l.index {
		b = le.AppendUint32(b, uint32(e.at))
		img.inodes.refer(len(b), img.dirs, l.blockOf(e.at))
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, uint32(len(e.name)-1))
		b = append(b, e.name...)
	}
	return img.addInode(b, number)
}
