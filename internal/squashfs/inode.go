package squashfs

import (
	"fmt"
	"math"

	"github.com/fledge-build/fledge/internal/fstree"
)

// The device number of an inode has 12 bits for the major and 20 for the minor number.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

// start begins the inode of n: the part that all types have.
func (img *image) start(kind uint16, n *fstree.Node, number uint32) ([]byte, error) {
	uid, err := img.ids.add(n.UID)
	if err != nil {
		return nil, err
	}
	gid, err := img.ids.add(n.GID)
	if err != nil {
		return nil, err
	}
	mtime := min(max(n.ModTime, 0), math.MaxUint32)
	if mtime != n.ModTime {
		img.stats.Clamped++
	}
	b := le.AppendUint16(make([]byte, 0, 64), kind)
	b = le.AppendUint16(b, n.Mode)
	b = le.AppendUint16(b, uid)
	b = le.AppendUint16(b, gid)
	b = le.AppendUint32(b, uint32(mtime))
	return le.AppendUint32(b, number), nil
}

// add appends an inode and notes its place.
func (img *image) addInode(b []byte, number uint32) error {
	at := img.inodes.next()
	img.places[number-1] = uint64(at.block)<<16 | uint64(at.offset)
	return img.inodes.append(b)
}

// inode describes d, which is no directory.
func (img *image) inode(d fstree.Dirent, number uint32) error {
	n := d.Node
	xattrs, err := img.xattrs.add(n.Xattrs(), func() string { return img.pathOf(d.Name) })
	if err != nil {
		return err
	}
	if n.Type == fstree.Regular {
		img.stats.Files++
		return img.file(n, number, xattrs)
	}
	kind := basicType(n.Type)
	if xattrs != noXattrs {
		kind += extended
	}
	b, err := img.start(kind, n, number)
	if err != nil {
		return err
	}
	b = le.AppendUint32(b, n.Links)
	switch n.Type {
	case fstree.Symlink:
		b = le.AppendUint32(b, uint32(len(n.Link())))
		b = append(b, n.Link()...)
	case fstree.CharDevice, fstree.BlockDevice:
		major, minor := n.Device()
		if major > maxMajor || minor > maxMinor {
			return fmt.Errorf("device %d:%d is beyond %d:%d, the highest number that squashfs can hold",
				major, minor, maxMajor, maxMinor)
		}
		b = le.AppendUint32(b, minor&0xff|major<<8|minor&^0xff<<12)
	}
	if xattrs != noXattrs {
		b = le.AppendUint32(b, xattrs)
	}
	return img.addInode(b, number)
}

// basicType is the number of a type in directory entries and basic inodes.
func basicType(t fstree.Type) uint16 {
	switch t {
	case fstree.Directory:
		return typeDir
	case fstree.Regular:
		return typeFile
	case fstree.Symlink:
		return typeSymlink
	case fstree.BlockDevice:
		return typeBlockDevice
	case fstree.CharDevice:
		return typeCharDevice
	case fstree.FIFO:
		return typeFIFO
	}
	return typeSocket
}

// fileData is where a file's data is.
type fileData struct {
	size, start, sparse uint64
	fragment, offset    uint32
	blocks              []uint32
}

func (img *image) data(n *fstree.Node) (fileData, error) {
	spot, id := img.plan.find(n)
	switch spot.kind {
	case tail:
		return fileData{size: uint64(spot.size), fragment: uint32(spot.at >> 32), offset: uint32(spot.at)}, nil
	case blocks:
		c, err := img.plan.packs[id.pack].Content(id.content)
		if err != nil {
			return fileData{}, err
		}
		f := fileData{size: c.Size, start: spot.at, fragment: noFragment, blocks: c.Blocks}
		for i, size := range c.Blocks {
			if size == 0 {
				f.sparse += min(img.blockSize, c.Size-uint64(i)*img.blockSize)
			}
		}
		return f, nil
	}
	return fileData{fragment: noFragment}, nil
}

// file describes a regular file. It needs the extended inode for what the basic one has no room for.
func (img *image) file(n *fstree.Node, number, xattrs uint32) error {
	f, err := img.data(n)
	if err != nil {
		return err
	}
	kind := uint16(typeFile)
	if n.Links > 1 || xattrs != noXattrs || f.sparse > 0 || f.size > math.MaxUint32 || f.start > math.MaxUint32 {
		kind += extended
	}
	b, err := img.start(kind, n, number)
	if err != nil {
		return err
	}
	if kind == typeFile {
		b = le.AppendUint32(b, uint32(f.start))
		b = le.AppendUint32(b, f.fragment)
		b = le.AppendUint32(b, f.offset)
		b = le.AppendUint32(b, uint32(f.size))
	} else {
		b = le.AppendUint64(b, f.start)
		b = le.AppendUint64(b, f.size)
		b = le.AppendUint64(b, f.sparse)
		b = le.AppendUint32(b, n.Links)
		b = le.AppendUint32(b, f.fragment)
		b = le.AppendUint32(b, f.offset)
		b = le.AppendUint32(b, xattrs)
	}
	for _, size := range f.blocks {
		b = le.AppendUint32(b, size)
	}
	return img.addInode(b, number)
}
