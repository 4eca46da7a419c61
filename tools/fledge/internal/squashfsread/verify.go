package squashfsread

import "fmt"

// minInode is the size of the smallest inode, in bytes.
const minInode = 20

// verifier checks an image. What it remembers is bounded by the image's size.
type verifier struct {
	r      *Reader
	seen   map[uint32]bool         // numbers of inodes
	linked map[uint32]*linkedInode // by number: those with several names
	known  map[checkedBlock]bool
	blocks *unpacker
}

type linkedInode struct {
	ref         uint64
	links, seen uint32
	path        string // of the first name
}

// checkedBlock is a data block that has to unpack to want bytes, and is looked at once.
type checkedBlock struct {
	dataBlock
	want uint64
}

// Verify reads everything and checks that it agrees. squashfs has no checksums of its own: what a compressor does not
// notice - gzip and xz have checksums, zstd, lz4, lzo and lzma do not - or what is stored as it is, can be wrong
// without a sign. Then only the digest of the whole image tells.
func (r *Reader) Verify() error {
	v := &verifier{
		r: r, seen: make(map[uint32]bool), linked: make(map[uint32]*linkedInode),
		known: make(map[checkedBlock]bool),
	}
	err := v.tables()
	if err == nil {
		err = v.contents()
	}
	if err != nil {
		return fmt.Errorf("squashfs: %w", err)
	}
	return nil
}

// contents checks what the tables say, and all data.
func (v *verifier) contents() (err error) {
	if v.blocks, err = v.r.newUnpacker(); err != nil {
		return err
	}
	for _, check := range []func() error{v.tree, v.links, v.fragments} {
		if err = check(); err != nil {
			break
		}
	}
	// The blocks so far come before what the checks found.
	if damaged := v.blocks.wait(); damaged != nil {
		return damaged
	}
	return err
}

// tables unpacks every metadata block, also those that nothing points to.
func (v *verifier) tables() error {
	r := v.r
	for _, in := range []*region{&r.inodes, &r.dirs, &r.keys} {
		if _, err := v.region(in, false); err != nil {
			return err
		}
	}
	end := r.dirs.end
	for _, t := range []*table{r.fragments, r.export, r.ids, r.xattrs} {
		if t == nil {
			continue
		}
		starts, err := v.region(&t.region, true)
		if err != nil {
			return err
		}
		if len(starts) != len(t.list) {
			return fmt.Errorf("%s: %d metadata blocks, %d in the list of them", t.name, len(starts), len(t.list))
		}
		for i, at := range t.list {
			if int64(at) != starts[i] {
				return fmt.Errorf("%s: block %d is at byte %d, not at %d as its list says", t.name, i, starts[i], at)
			}
		}
		if t.count > 0 {
			if _, err := r.record(t, t.count-1); err != nil {
				return err
			}
		}
		end = max(end, t.end)
	}
	if end != int64(r.super.used) {
		return fmt.Errorf("superblock: %d bytes used, but the last table ends at byte %d", r.super.used, end)
	}
	return nil
}

// region unpacks the blocks of a region and gives where they are. With full, all but the last have to be full.
func (v *verifier) region(in *region, full bool) (starts []int64, err error) {
	for at := in.start; at < in.end; {
		b, err := v.r.block(in, at)
		if err != nil {
			return nil, err
		}
		if full && b.next < in.end && len(b.data) != metadataSize {
			return nil, fmt.Errorf("%s: metadata block at byte %d holds %d bytes, not %d", in.name, at, len(b.data), metadataSize)
		}
		starts = append(starts, at)
		at = b.next
	}
	return starts, nil
}

// tree checks every inode that has a name.
func (v *verifier) tree() error {
	root, err := v.r.lookup(".")
	if err != nil {
		return err
	}
	if err := v.r.measure(); err != nil {
		return err
	}
	w := walker{r: v.r, seen: make(map[uint64]bool), runs: true}
	w.visit = func(path string, n *inode, list []dirent, runs []run) error {
		if _, err := v.r.entry(path, n); err != nil {
			return err
		}
		first, err := v.note(path, n)
		if err != nil || !first {
			return err
		}
		switch n.kind {
		case typeDir:
			return v.dir(n, list, runs, w.parent)
		case typeFile:
			return v.file(path, n)
		}
		return nil
	}
	if err := w.walk(".", root); err != nil {
		return err
	}
	if len(v.seen) != int(v.r.super.inodes) {
		return fmt.Errorf("superblock: %d inodes, but %d have a name", v.r.super.inodes, len(v.seen))
	}
	return nil
}

// note remembers the inode and tells whether this is its first name.
func (v *verifier) note(path string, n *inode) (first bool, err error) {
	if l := v.linked[n.number]; l != nil && l.ref == n.ref {
		l.seen++
		return false, nil
	}
	if v.seen[n.number] {
		return false, fmt.Errorf("inode %d has another name, but counts %d", n.number, n.links)
	}
	v.seen[n.number] = true
	if n.kind != typeDir && n.links != 1 {
		v.linked[n.number] = &linkedInode{ref: n.ref, links: n.links, seen: 1, path: path}
	}
	if v.r.export == nil {
		return true, nil
	}
	b, err := v.r.record(v.r.export, uint64(n.number)-1)
	if err == nil && le.Uint64(b) != n.ref {
		err = fmt.Errorf("export table: inode %d is at %#x, not at %#x", n.number, n.ref, le.Uint64(b))
	}
	return true, err
}

// dir checks what a directory says of itself.
func (v *verifier) dir(n *inode, list []dirent, runs []run, parent uint32) error {
	// Above the root is a number that no inode has: mksquashfs takes the next one, squashfs-tools-ng 0.
	said := n.listing.parent
	if said != parent && (parent != 0 || said != v.r.super.inodes+1) {
		return fmt.Errorf("the directory above is inode %d, the inode says %d", parent, said)
	}
	links := uint32(2)
	for _, d := range list {
		if d.kind == typeDir {
			links++
		}
	}
	// squashfs-tools-ng counts whatever is in the directory.
	if n.links != links && n.links != uint32(len(list))+2 {
		return fmt.Errorf("%d links, the inode says %d", links, n.links)
	}
	c := n.listing.index
	for i := range n.listing.indexes {
		b, err := c.take(12)
		if err != nil {
			return err
		}
		x := run{at: le.Uint32(b), block: le.Uint32(b[4:])}
		size := le.Uint32(b[8:]) + 1
		if size == 0 || size > 256 {
			return fmt.Errorf("index %d of the directory: name of %d bytes", i, size)
		}
		if x.first, err = c.text(int(size)); err != nil {
			return err
		}
		for len(runs) > 0 && runs[0].at < x.at {
			runs = runs[1:]
		}
		if len(runs) == 0 || runs[0] != x {
			return fmt.Errorf("index %d of the directory: no entry %q at byte %d", i, x.first, x.at)
		}
	}
	return nil
}

// file has it checked that each block unpacks to what it should; the tail is part of a fragment block.
func (v *verifier) file(path string, n *inode) error {
	blockSize := uint64(v.r.super.blockSize)
	sizes, place, sparse := n.file.sizes, n.file.start, uint64(0)
	for i := range n.file.blocks {
		b, err := sizes.take(4)
		if err != nil {
			return err
		}
		d := dataBlock{place, le.Uint32(b)}
		want := min(blockSize, n.size-i*blockSize)
		if d.size == 0 {
			sparse += want
			continue
		}
		wrap := func(err error) error { return at(path, fmt.Errorf("block %d: %w", i, err)) }
		if err := v.block(d, want, wrap); err != nil {
			return err
		}
		place += uint64(d.stored())
	}
	// mksquashfs counts one byte less of a file that is nothing but a hole.
	if said := n.file.sparse; n.file.extended && said != sparse && (sparse != n.size || said+1 != sparse) {
		return fmt.Errorf("%d bytes of holes, the inode says %d", sparse, n.file.sparse)
	}
	return nil
}

func (v *verifier) block(d dataBlock, want uint64, wrap func(error) error) error {
	key := checkedBlock{d, want}
	if v.known[key] {
		return nil
	}
	v.known[key] = true
	return v.blocks.give(unpackJob{block: d, least: want, most: want, wrap: wrap})
}

// links compares the counts of links with the names found.
func (v *verifier) links() error {
	for number, l := range v.linked {
		if l.links != l.seen {
			return at(l.path, fmt.Errorf("inode %d has %d names, but counts %d", number, l.seen, l.links))
		}
	}
	return nil
}

// fragments has every fragment block unpacked.
func (v *verifier) fragments() error {
	for i := range v.r.super.fragments {
		b, err := v.r.fragment(i)
		if err != nil {
			return err
		}
		wrap := func(err error) error { return fmt.Errorf("fragment block %d: %w", i, err) }
		job := unpackJob{block: b, least: uint64(v.r.used[i]), most: uint64(v.r.super.blockSize), wrap: wrap}
		if err := v.blocks.give(job); err != nil {
			return err
		}
	}
	return nil
}
