package ext4

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packfile"
)

// file is a regular file with data. Files lie in the image in the order of their data in the packs, so that each block
// is read and unpacked once.
type file struct {
	inode    uint32 // its index among the plan's
	pack     int32
	content  uint32
	at       uint64                // offset in the pack of its first block, or of its fragment block
	fragment uint32                // number of the fragment block, or layerpack.NoFragment
	offset   uint32                // in the fragment block
	digest   [sha256.Size / 2]byte // the first half
}

// gather finds the regular files and their data.
func (p *plan) gather() error {
	for i := range p.inodes {
		n := p.inodes[i].node
		if n.Type != fstree.Regular {
			continue
		}
		if int(n.Layer) >= len(p.packs) || int(n.Content) >= p.packs[n.Layer].Contents() {
			return fmt.Errorf("%q has the content %d of layer %d, which is not among the packs",
				p.path(number(i)), n.Content, n.Layer)
		}
		p.files = append(p.files, file{inode: uint32(i), pack: n.Layer, content: n.Content})
	}
	slices.SortFunc(p.files, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.pack, b.pack), cmp.Compare(a.content, b.content), cmp.Compare(a.inode, b.inode))
	})
	if err := p.locateAll(); err != nil {
		return err
	}
	p.files = slices.DeleteFunc(p.files, func(f file) bool { return p.inodes[f.inode].size == 0 })
	slices.SortFunc(p.files, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.pack, b.pack), cmp.Compare(a.at, b.at), cmp.Compare(a.fragment, b.fragment),
			cmp.Compare(a.offset, b.offset), cmp.Compare(a.inode, b.inode))
	})
	return nil
}

// locateAll fills in where the data of the files lies. Files with the same content share its segments, and contents do not
// share blocks, so that these take no more memory than the packs have bytes.
func (p *plan) locateAll() error {
	blocks := make([]int64, len(p.packs)) // left for further contents
	for i, pack := range p.packs {
		blocks[i] = pack.Blocks()
	}
	var c layerpack.Content
	for i := range p.files {
		f := &p.files[i]
		pack := p.packs[f.pack]
		if i > 0 && p.files[i-1].pack == f.pack && p.files[i-1].content == f.content {
			from := &p.inodes[p.files[i-1].inode]
			in := &p.inodes[f.inode]
			in.size, in.blocks, in.sparse = from.size, from.blocks, from.sparse
			inode := f.inode
			*f = p.files[i-1]
			f.inode = inode
			continue
		}
		var err error
		if c, err = pack.Content(f.content); err != nil {
			return p.fail(f.pack, err)
		}
		if blocks[f.pack] -= int64(len(c.Blocks)); blocks[f.pack] < 0 {
			return p.fail(f.pack, fmt.Errorf("%w: content %d has the blocks of others", packfile.ErrDamaged, f.content))
		}
		if err := p.locate(f, &c, pack); err != nil {
			return err
		}
	}
	return nil
}

// locate fills in where the data of f, which is c, lies in the pack, and how much the image has of it.
func (p *plan) locate(f *file, c *layerpack.Content, pack *layerpack.Reader) error {
	i := &p.inodes[f.inode]
	if blocksFor(c.Size) > maxFile {
		return fmt.Errorf("%q has %d bytes, more than the 16 TiB that ext4 holds; leave it out of the layer",
			p.path(number(int(f.inode))), c.Size)
	}
	i.size = c.Size
	f.at, f.fragment, f.offset = c.Offset, c.Fragment, c.FragmentOffset
	copy(f.digest[:], c.Digest[:])
	if f.fragment != layerpack.NoFragment {
		f.at = pack.FragmentBlocks()[f.fragment].Offset
	}
	if len(c.Blocks) == 0 || !slices.Contains(c.Blocks, 0) {
		i.blocks = uint32(blocksFor(c.Size))
		return nil
	}
	i.sparse, i.blocks = []segment{}, 0
	per := uint64(pack.BlockSize() / blockSize)
	for j, size := range c.Blocks {
		if size == 0 {
			continue
		}
		first := uint64(j) * per
		n := uint32(min(per, blocksFor(c.Size)-first))
		i.blocks += n
		if last := len(i.sparse) - 1; last >= 0 && uint64(i.sparse[last].logical+i.sparse[last].count) == first {
			i.sparse[last].count += n
			continue
		}
		i.sparse = append(i.sparse, segment{uint32(first), n})
	}
	return nil
}
