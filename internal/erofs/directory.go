package erofs

import (
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// dirent is an entry of a directory.
type dirent struct {
	name  string
	inode uint32 // index
	kind  fstree.Type
}

// fileType is the number of a type in directory entries.
func fileType(t fstree.Type) byte {
	switch t {
	case fstree.Regular:
		return 1
	case fstree.Directory:
		return 2
	case fstree.CharDevice:
		return 3
	case fstree.BlockDevice:
		return 4
	case fstree.FIFO:
		return 5
	case fstree.Socket:
		return 6
	}
	return 7
}

// dirents lists the entries of directory i, "." and ".." among them, sorted bytewise, which readers rely on.
func (img *image) dirents(i uint32) []dirent {
	in := &img.inodes[i]
	children := in.node.Children()
	list := make([]dirent, 0, len(children)+2)
	next := in.first
	for _, c := range children {
		at, ok := img.linked[c.Node]
		if !ok || at == next {
			at = next
			next++
		}
		list = append(list, dirent{c.Name, at, c.Node.Type})
	}
	for _, dot := range []dirent{{".", i, fstree.Directory}, {"..", in.parent, fstree.Directory}} {
		at, _ := slices.BinarySearchFunc(list, dot, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
		list = slices.Insert(list, at, dot)
	}
	return list
}

// cutDirents cuts a directory's entries into those of each block.
func cutDirents(list []dirent) (blocks [][]dirent) {
	size, first := 0, 0
	for i, d := range list {
		n := direntSize + len(d.name)
		if size+n > blockSize {
			blocks = append(blocks, list[first:i])
			size, first = 0, i
		}
		size += n
	}
	return append(blocks, list[first:])
}

func direntBytes(block []dirent) (n int) {
	for _, d := range block {
		n += direntSize + len(d.name)
	}
	return n
}

// directorySize is the size of a directory, in bytes, and how much of it lies behind its inode: the last block, unless it
// is nearly full.
func (img *image) directorySize(i uint32) (size, tail uint64) {
	blocks := cutDirents(img.dirents(i))
	last := direntBytes(blocks[len(blocks)-1])
	size = uint64(len(blocks)-1)*blockSize + uint64(last)
	if last <= erofspack.MaxTail {
		return size, uint64(last)
	}
	return size, 0
}

// encodeDirents makes a block, without the zeros at its end.
func (img *image) encodeDirents(block []dirent) []byte {
	b := make([]byte, 0, blockSize)
	name := len(block) * direntSize
	for _, d := range block {
		b = le.AppendUint64(b, uint64(img.inodes[d.inode].slot))
		b = le.AppendUint16(b, uint16(name))
		b = append(b, fileType(d.kind), 0)
		name += len(d.name)
	}
	for _, d := range block {
		b = append(b, d.name...)
	}
	return b
}
