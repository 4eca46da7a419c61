package ext4

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"iter"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// inode is what the image holds of a node: its place and that of its data.
type inode struct {
	node   *fstree.Node
	size   uint64      // bytes
	blocks uint32      // of data; the trees of extents and attributes not counted
	first  uint32      // of a directory: number of its first child that had none before
	parent uint32      // number of the directory that has its first name
	sparse []segment   // of a file with holes: where it has data
	start  uint64      // first block of data
	tree   uint64      // first block of its extent tree
	nodes  uint32      // blocks of its extent tree
	inside []xattr     // attributes in the inode
	xattrs *xattrBlock // attributes in a block; may be nil
}

// segments are the parts of the inode that have data.
func (i *inode) segments() []segment {
	if i.sparse != nil || i.blocks == 0 {
		return i.sparse
	}
	return []segment{{0, i.blocks}}
}

// plan is what an image holds and where.
type plan struct {
	geometry
	packs  []*layerpack.Reader
	stats  *Stats
	inodes []inode // the first is the root's, the others those from firstInode on
	linked map[*fstree.Node]uint32
	files  []file // regular files with data, in the order of their data
	xattrs xattrBlocks

	journal    inode // without a node; no blocks without a journal
	hashSeed   [4]uint32
	uuid       [16]byte
	sum        uint32      // start of all checksums
	bitmaps    [2][]uint64 // places of the groups' block and inode bitmaps
	tables     []uint64    // places of the groups' inode tables
	resizeNode uint64      // place of the resize inode's block
	end        uint64      // of what is in use
	gaps       []run       // free before the end
}

// number is the number of the i-th inode of the plan.
func number(i int) uint32 {
	if i == 0 {
		return rootInode
	}
	return firstInode - 1 + uint32(i)
}

// at is the inode with a number that number gave.
func (p *plan) at(number uint32) *inode {
	if number == rootInode {
		return &p.inodes[0]
	}
	return &p.inodes[number-firstInode+1]
}

// lastInode is the highest number in use.
func (p *plan) lastInode() uint64 { return max(firstInode-1, uint64(number(len(p.inodes)-1))) }

// enumerate gives all nodes their numbers: the children of a directory follow one another, in the order of their names.
func (p *plan) enumerate(tree *fstree.Tree) error {
	if uint64(tree.Inodes) > maxInodes {
		return fmt.Errorf("%d inodes are more than the %d of an ext4 image; make an image of fewer files",
			tree.Inodes, uint64(maxInodes))
	}
	p.inodes = make([]inode, 0, tree.Inodes)
	p.linked = map[*fstree.Node]uint32{}
	p.inodes = append(p.inodes, inode{node: tree.Root, parent: rootInode})
	p.enumerateBelow(tree.Root, rootInode)
	for i := range p.inodes {
		if err := p.describe(number(i)); err != nil {
			return fmt.Errorf("%q: %w", p.path(number(i)), err)
		}
	}
	return nil
}

// enumerateBelow gives numbers to what is below the directory dir with the given number.
func (p *plan) enumerateBelow(dir *fstree.Node, parent uint32) {
	p.at(parent).first = number(len(p.inodes))
	for _, d := range dir.Children() {
		n := d.Node
		if n.Type != fstree.Directory && n.Links > 1 {
			if _, ok := p.linked[n]; ok {
				continue
			}
			p.linked[n] = number(len(p.inodes))
		}
		p.inodes = append(p.inodes, inode{node: n, parent: parent})
	}
	for _, child := range p.children(p.at(parent)) {
		if n := p.at(child).node; n.Type == fstree.Directory {
			p.enumerateBelow(n, child)
		}
	}
}

// path is where the inode lies, by the first of its names.
func (p *plan) path(inode uint32) (path string) {
	for inode != rootInode {
		parent := p.at(inode).parent
		for name, child := range p.children(p.at(parent)) {
			if child == inode {
				path = "/" + name + path
				break
			}
		}
		inode = parent
	}
	return cmp.Or(path, "/")
}

// children are the names of a directory and their inodes' numbers.
func (p *plan) children(dir *inode) iter.Seq2[string, uint32] {
	return func(yield func(string, uint32) bool) {
		next := dir.first
		for _, d := range dir.node.Children() {
			child := next
			if d.Node.Type != fstree.Directory && d.Node.Links > 1 {
				child = p.linked[d.Node]
			}
			if child == next {
				next++
			}
			if !yield(d.Name, child) {
				return
			}
		}
	}
}

// describe checks that the format can hold a node and fills in what does not depend on others.
func (p *plan) describe(inode uint32) (err error) {
	i := p.at(inode)
	n := i.node
	if n.Type != fstree.Directory && n.Links > maxLinks {
		return fmt.Errorf("it has %d names, ext4 holds %d of a file; copy it for some of them", n.Links, maxLinks)
	}
	if n.ModTime < minTime || n.ModTime > maxTime {
		p.stats.Clamped++
	}
	switch n.Type {
	case fstree.Directory:
		p.stats.Directories++
	case fstree.Regular:
		p.stats.Files++
	case fstree.Symlink:
		if i.size = uint64(len(n.Link())); i.size >= fastSymlink {
			i.blocks = 1
		}
	case fstree.CharDevice, fstree.BlockDevice:
		if major, minor := n.Device(); major > maxMajor || minor > maxMinor {
			return fmt.Errorf("device %d:%d is beyond %d:%d, the highest number that Linux has; leave it out of the layer",
				major, minor, maxMajor, maxMinor)
		}
	}
	var block []xattr
	i.inside, block, err = splitXattrs(n, func(name string) {
		if p.stats.Dropped.Count == 0 {
			p.stats.Dropped.Name, p.stats.Dropped.Path = name, p.path(inode)
		}
		p.stats.Dropped.Count++
	})
	if err == nil && len(block) > 0 {
		i.xattrs = p.xattrs.add(block)
	}
	return err
}

// entries are a directory's entries, sorted by name.
func (p *plan) entries(dir *inode) []dirEntry {
	list := make([]dirEntry, 0, len(dir.node.Children()))
	for name, child := range p.children(dir) {
		list = append(list, dirEntry{name: name, inode: child, kind: entryType(p.at(child).node.Type)})
	}
	return list
}

// sizeDirectories finds how many blocks the directories take.
func (p *plan) sizeDirectories() error {
	for i := range p.inodes {
		dir := &p.inodes[i]
		if dir.node.Type != fstree.Directory {
			continue
		}
		l, err := layOutDir(p.entries(dir), p.hashSeed)
		if err != nil {
			return fmt.Errorf("%q: %w", p.path(number(i)), err)
		}
		dir.blocks = uint32(l.blocks())
		dir.size = l.blocks() * blockSize
	}
	return nil
}

// identify derives the file system's UUID and hash seed from what it holds.
func (p *plan) identify(o Options) {
	h := sha256.New()
	fmt.Fprintf(h, "fledge ext4 1 %d %t\n", o.SizeBuffer, o.Journal)
	for i := range p.inodes {
		hashNode(h, p.inodes[i].node)
	}
	for _, f := range p.files {
		h.Write(le.AppendUint32(nil, number(int(f.inode))))
		h.Write(f.digest[:])
	}
	sum := h.Sum(nil)
	copy(p.uuid[:], sum)
	p.uuid[6] = p.uuid[6]&0x0f | 0x80 // version 8 of RFC 9562: the vendor's own way
	p.uuid[8] = p.uuid[8]&0x3f | 0x80
	p.sum = checksum(^uint32(0), p.uuid[:])
	for i := range p.hashSeed {
		p.hashSeed[i] = le.Uint32(sum[16+4*i:])
	}
}

// hashNode adds everything of a node but its data.
func hashNode(h hash.Hash, n *fstree.Node) {
	major, minor := n.Device()
	fmt.Fprintf(h, "%d %o %d %d %d %d %d:%d %q\n", n.Type, n.Mode, n.UID, n.GID, n.ModTime, n.Links, major, minor, n.Link())
	for _, x := range n.Xattrs() {
		fmt.Fprintf(h, "x %q %q\n", x.Name, x.Value)
	}
	for _, d := range n.Children() {
		fmt.Fprintf(h, "n %q\n", d.Name)
	}
}
