package erofs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"math"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// inode is an inode of the image.
type inode struct {
	node   *fstree.Node
	slot   uint32
	block  uint32 // first block of a directory or symlink that has blocks
	first  uint32 // index of a directory's first child that has no other name before
	parent uint32 // index of the directory above
}

// image is what the superblock, inodes and directories need.
type image struct {
	ctx    context.Context
	stats  *Stats
	data   *data
	inodes []inode                 // level by level: the children of a directory follow each other
	linked map[*fstree.Node]uint32 // indexes of nodes with several names
	xattrs xattrs
	time   int64 // of compact inodes
	space  *space

	// The parts of the image, in blocks.
	xattrAt, inodesAt, dirsAt, end uint64
	chunked                        bool
	uuid                           [16]byte
}

// number lists the inodes, the root first.
func (img *image) number(tree *fstree.Tree) error {
	img.inodes = append(make([]inode, 0, tree.Inodes), inode{node: tree.Root})
	for i := 0; i < len(img.inodes); i++ {
		n := img.inodes[i].node
		if n.Type != fstree.Directory {
			continue
		}
		if err := img.ctx.Err(); err != nil {
			return err
		}
		img.inodes[i].first = uint32(len(img.inodes))
		for _, c := range n.Children() {
			if c.Node.Type != fstree.Directory && c.Node.Links > 1 {
				if _, ok := img.linked[c.Node]; ok {
					continue
				}
				img.linked[c.Node] = uint32(len(img.inodes))
			}
			img.inodes = append(img.inodes, inode{node: c.Node, parent: uint32(i)})
		}
	}
	return nil
}

// survey looks at all inodes for what has to be known before any is placed.
func (img *image) survey() error {
	times := map[int64]int{}
	for i := range img.inodes {
		n := img.inodes[i].node
		times[n.ModTime]++
		if err := img.check(uint32(i), n); err != nil {
			return img.fail(uint32(i), err)
		}
	}
	most := 0
	for t, count := range times {
		if t >= 0 && (count > most || count == most && t < img.time) {
			img.time, most = t, count
		}
	}
	img.xattrs.share()
	return nil
}

// check refuses what erofs cannot hold, and takes note of attributes and contents.
func (img *image) check(i uint32, n *fstree.Node) error {
	encoded, err := encodeXattrs(n, func(name string) {
		if img.stats.Dropped.Count == 0 {
			img.stats.Dropped.Name, img.stats.Dropped.Path = name, img.pathOf(i)
		}
		img.stats.Dropped.Count++
	})
	if err != nil {
		return err
	}
	img.xattrs.count(encoded)
	switch n.Type {
	case fstree.Directory:
		img.stats.Directories++
	case fstree.Regular:
		img.stats.Files++
		return img.data.mark(n)
	case fstree.CharDevice, fstree.BlockDevice:
		if major, minor := n.Device(); major > maxMajor || minor > maxMinor {
			return fmt.Errorf("device %d:%d is beyond %d:%d, the highest number that erofs can hold; "+
				"leave it out of the layer", major, minor, maxMajor, maxMinor)
		}
	}
	return nil
}

// layOut gives everything its place.
func (img *image) layOut() error {
	if err := img.data.deduplicate(); err != nil {
		return err
	}
	if err := img.data.place(); err != nil {
		return err
	}
	img.space = newSpace()
	h := sha256.New()
	var dirBlocks, bare uint64 // bare is the end of the last inode with nothing behind it, in slots
	for i := range img.inodes {
		in := &img.inodes[i]
		s, err := img.describe(uint32(i))
		if err != nil {
			return img.fail(uint32(i), err)
		}
		in.slot = img.space.place(s.head(), s.tail)
		in.block = uint32(dirBlocks) // relative to dirsAt, which is not known yet
		dirBlocks += s.ownBlocks()
		img.chunked = img.chunked || s.layout == layoutChunked
		hashInode(h, in, &s)
		if s.head()+s.tail == s.inode {
			bare = max(bare, uint64(in.slot)+s.inode/slotSize)
		}
		if img.space.end > math.MaxUint32-2*slotsABlock {
			return fmt.Errorf("more than %d bytes of inodes, which is all that erofs can hold; "+
				"make an image of fewer files", uint64(slotSize)<<32)
		}
	}
	if dirBlocks == 0 && bare == img.space.end {
		img.space.end += slotsABlock // fsck.erofs 1.5 looks for attributes there, and takes the image's end for damage
	}
	copy(img.uuid[:], h.Sum(nil))
	img.uuid[6], img.uuid[8] = img.uuid[6]&0x0f|0x80, img.uuid[8]&0x3f|0x80 // version 8 of RFC 9562: of one's own making
	img.xattrAt = img.data.end
	img.inodesAt = img.xattrAt + uint64(len(img.xattrs.table)/blockSize)
	img.dirsAt = img.inodesAt + img.space.end/slotsABlock
	img.end = img.dirsAt + dirBlocks
	if img.end > math.MaxUint32 {
		return fmt.Errorf("the image has more than %d blocks, which is all that erofs can hold; make its content smaller",
			uint32(math.MaxUint32))
	}
	return nil
}

// hashInode adds to the hash of the image's content, from which its UUID comes.
func hashInode(h hash.Hash, in *inode, s *shape) {
	n := in.node
	major, minor := n.Device()
	b := []byte{byte(n.Type)}
	b = le.AppendUint16(b, n.Mode)
	for _, v := range []uint32{n.UID, n.GID, n.Links, major, minor, in.parent, in.first, in.slot} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint64(b, uint64(n.ModTime))
	b = append(b, s.content.Digest[:]...)
	b = append(le.AppendUint32(b, uint32(len(n.Link()))), n.Link()...)
	b = append(le.AppendUint32(b, uint32(len(s.xattrs))), s.xattrs...)
	for _, c := range n.Children() {
		b = append(le.AppendUint32(b, uint32(len(c.Name))), c.Name...)
	}
	h.Write(b)
}

// pathOf is the path of an inode, by its first name.
func (img *image) pathOf(i uint32) string {
	var names []string
	for i > 0 {
		in := &img.inodes[i]
		for _, c := range img.inodes[in.parent].node.Children() {
			if c.Node == in.node {
				names = append(names, c.Name)
				break
			}
		}
		i = in.parent
	}
	slices.Reverse(names)
	return "/" + strings.Join(names, "/")
}

// fail names the file at fault.
func (img *image) fail(i uint32, err error) error { return fmt.Errorf("%q: %w", img.pathOf(i), err) }

// shape is how an inode is stored.
type shape struct {
	layout  byte
	size    uint64 // of the file
	inode   uint64 // bytes of the inode itself
	xattrs  []byte
	index   uint64 // bytes of the index or chunk map, with what aligns it
	tail    uint64 // bytes of data behind all that
	content erofspack.Content
	block   uint32 // of content, in the image
	pack    *erofspack.Reader
}

// head is what lies in front of the tail, in bytes.
func (s *shape) head() uint64 { return s.inode + uint64(len(s.xattrs)) + s.index }

// ownBlocks are the blocks of what is in no pack: a directory or symlink.
func (s *shape) ownBlocks() uint64 {
	if s.pack != nil {
		return 0
	}
	return (s.size - s.tail + blockSize - 1) / blockSize
}

// describe decides how inode i is stored.
func (img *image) describe(i uint32) (s shape, err error) {
	n := img.inodes[i].node
	encoded, err := encodeXattrs(n, func(string) {})
	if err != nil {
		return s, err
	}
	s.xattrs = img.xattrs.body(encoded)
	if len(s.xattrs) > xattrHeaderSize+4*(maxXattrSlots-1) {
		return s, fmt.Errorf("its extended attributes have %d bytes together, more than the %d that erofs can hold; "+
			"leave some out of the layer", len(s.xattrs), xattrHeaderSize+4*(maxXattrSlots-1))
	}
	switch n.Type {
	case fstree.Directory:
		s.size, s.tail = img.directorySize(i)
	case fstree.Symlink:
		s.size, s.tail = uint64(len(n.Link())), uint64(len(n.Link()))
	case fstree.Regular:
		if s.content, s.block, s.pack, err = img.data.find(n); err != nil {
			return s, err
		}
		s.size, s.tail = s.content.Size, uint64(s.content.Tail)
	}
	s.inode = compactSize
	if n.ModTime != img.time || max(n.UID, n.GID, n.Links) > math.MaxUint16 || s.size > math.MaxUint32 {
		s.inode = extendedSize
	}
	// The kernel wants a symlink's target in the block of its inode.
	if n.Type == fstree.Symlink && s.head()+s.tail > blockSize {
		s.tail = 0
	}
	s.setLayout()
	return s, nil
}

// setLayout sets the layout and the size of the index.
func (s *shape) setLayout() {
	switch {
	case s.pack != nil && s.content.Layout == erofspack.LZ4:
		s.layout = layoutCompressed
		s.index = -s.head()%8 + mapHeaderSize + indexSize*((s.size+blockSize-1)/blockSize)
	case s.pack != nil && s.content.Layout == erofspack.Chunked:
		s.layout = layoutChunked
		chunk := erofspack.ChunkBlocks(s.size) * blockSize
		s.index = chunkMapEntry * ((s.size + chunk - 1) / chunk)
	case s.tail > 0:
		s.layout = layoutInline
	default:
		s.layout = layoutPlain
	}
}
