package squashfs

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
)

// image is what follows the data: the tables.
type image struct {
	ctx       context.Context
	plan      *plan
	pool      *pool
	stats     *Stats
	blockSize uint64

	inodes *table
	dirs   *table
	xattrs *xattrs
	ids    ids

	linked map[*fstree.Node]uint32 // numbers of nodes with several names
	places []uint64                // of inodes in their table, by number - 1: block << 16 and offset in it
	path   []string                // of the directory being described, for errors
	listed []section
}

// section is a part of the image after the data.
type section struct {
	table *table
	after []byte // what follows it: the list of its blocks
}

func newImage(ctx context.Context, p *plan, workers *pool, blockSize int) *image {
	return &image{
		ctx: ctx, plan: p, pool: workers, stats: p.stats, blockSize: uint64(blockSize),
		inodes: newTable("inode table", workers), dirs: newTable("directory table", workers), xattrs: newXattrs(workers),
		linked: map[*fstree.Node]uint32{},
	}
}

// describe fills the inode and directory tables.
//
// All inodes but the directories' come first, in the order of the tree. Nothing in them depends on other blocks, so
// they are compressed on all cores. The directories follow, children before parents: a listing refers to the inodes in
// it, and a directory's inode to its listing.
func (img *image) describe(tree *fstree.Tree) error {
	img.places = make([]uint64, tree.Inodes)
	root := uint32(1)
	if _, err := img.files(tree.Root, root+1); err != nil {
		return err
	}
	parent := uint32(tree.Inodes) + 1 // of the root, as mksquashfs has it
	_, err := img.directory(tree.Root, root, parent, root+1)
	return err
}

// numbers gives the inode numbers of dir's children and the next free one: consecutive from next on, except for names
// of nodes that have a number already. Both passes over the tree get the same numbers.
func (img *image) numbers(dir *fstree.Node, next uint32) ([]uint32, uint32) {
	list := make([]uint32, len(dir.Children()))
	for i, d := range dir.Children() {
		list[i] = next
		if n := d.Node; n.Type != fstree.Directory && n.Links > 1 {
			if number, ok := img.linked[n]; ok && number != next {
				list[i] = number
				continue
			}
			img.linked[n] = next
		}
		next++
	}
	return list, next
}

// files describes everything at and below dir but directories; next is the first free inode number.
func (img *image) files(dir *fstree.Node, next uint32) (uint32, error) {
	if err := img.ctx.Err(); err != nil {
		return 0, err
	}
	fresh := next
	list, next := img.numbers(dir, next)
	for i, d := range dir.Children() {
		if list[i] != fresh { // described already, under another name
			continue
		}
		if fresh++; d.Node.Type == fstree.Directory {
			continue
		}
		if err := img.inode(d, list[i]); err != nil {
			return 0, img.fail(d.Name, err)
		}
	}
	for _, d := range dir.Children() {
		if d.Node.Type != fstree.Directory {
			continue
		}
		var err error
		img.path = append(img.path, d.Name)
		if next, err = img.files(d.Node, next); err != nil {
			return 0, err
		}
		img.path = img.path[:len(img.path)-1]
	}
	return next, nil
}

// layOut finishes all tables and gives the superblock that fits them.
func (img *image) layOut() (*superblock, error) {
	s := &superblock{
		inodes: uint32(len(img.places)), blockSize: uint32(img.blockSize),
		fragments: uint32(len(img.plan.fragments)), ids: uint16(len(img.ids.list)), used: img.plan.end,
	}
	var err error
	if s.inodeTable, err = img.add(s, img.inodes); err != nil {
		return nil, err
	}
	if s.dirTable, err = img.add(s, img.dirs); err != nil {
		return nil, err
	}
	for _, t := range []struct {
		make func() (*table, error)
		at   *uint64
	}{
		{img.fragmentTable, &s.fragmentTable},
		{img.exportTable, &s.exportTable},
		{func() (*table, error) { return img.ids.table(img.pool) }, &s.idTable},
	} {
		table, err := t.make()
		if err == nil {
			*t.at, err = img.addIndexed(s, table, nil)
		}
		if err != nil {
			return nil, err
		}
	}
	if s.xattrTable, err = img.addXattrs(s); err != nil {
		return nil, err
	}
	s.root, err = img.reference(0)
	return s, err
}

// add puts a finished table at the end of the image and gives its offset.
func (img *image) add(s *superblock, t *table) (uint64, error) {
	size, err := t.finish()
	at := s.used
	s.used += size
	img.listed = append(img.listed, section{table: t})
	return at, err
}

// addIndexed adds a lookup table; what the superblock points to is the list behind it, which begins with head.
func (img *image) addIndexed(s *superblock, t *table, head []byte) (uint64, error) {
	at, err := img.add(s, t)
	if err != nil {
		return 0, err
	}
	after := append(head, t.index(at)...)
	list := s.used
	s.used += uint64(len(after))
	img.listed[len(img.listed)-1].after = after
	return list, nil
}

func (img *image) addXattrs(s *superblock) (uint64, error) {
	if len(img.xattrs.sets) == 0 {
		return noTable, nil
	}
	pairs, err := img.add(s, img.xattrs.pairs)
	if err != nil {
		return 0, err
	}
	table, err := img.xattrs.table(img.pool)
	if err != nil {
		return 0, err
	}
	head := le.AppendUint64(nil, pairs)
	head = le.AppendUint32(head, uint32(len(img.xattrs.sets)))
	return img.addIndexed(s, table, le.AppendUint32(head, 0))
}

// reference is the reference to the inode with the number i + 1.
func (img *image) reference(i int) (uint64, error) {
	start, err := img.inodes.start(int(img.places[i] >> 16))
	return start<<16 | img.places[i]&0xffff, err
}

func (img *image) exportTable() (*table, error) {
	t := newTable("export table", img.pool)
	var b []byte
	for i := range img.places {
		r, err := img.reference(i)
		if err != nil {
			return nil, err
		}
		b = le.AppendUint64(b, r)
		if len(b) == metadataSize {
			if err := t.append(b); err != nil {
				return nil, err
			}
			b = b[:0]
		}
	}
	return t, t.append(b)
}

func (img *image) fragmentTable() (*table, error) {
	t := newTable("fragment table", img.pool)
	for _, f := range img.plan.fragments {
		b := le.AppendUint64(make([]byte, 0, 16), f.start)
		if err := t.append(le.AppendUint64(b, uint64(f.size))); err != nil { // the upper half is unused
			return nil, err
		}
	}
	return t, nil
}

func (img *image) writeTo(w io.Writer) error {
	for _, s := range img.listed {
		if err := s.table.writeTo(w); err != nil {
			return err
		}
		if _, err := w.Write(s.after); err != nil {
			return err
		}
	}
	return nil
}

// pathOf is the path of the entry name of the directory being described.
func (img *image) pathOf(name string) string {
	return "/" + strings.Join(append(slices.Clone(img.path), name), "/")
}

// fail names the file at fault.
func (img *image) fail(name string, err error) error {
	return fmt.Errorf("%q: %w", img.pathOf(name), err)
}
