package ext4

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fledge-build/fledge/internal/fstree"
)

const (
	entryHead  = 8  // of a directory entry, before the name
	dirTail    = 12 // at the end of a block of entries: its checksum, as an entry without a name
	dirRoom    = blockSize - dirTail
	dirTailTag = 0xde
	dotsSize   = 2 * (entryHead + 4) // "." and ".."

	// A hash tree's root has the entries "." and ".." and 8 bytes of description, a block of the level below an
	// empty entry; then pairs of hash and block follow, and 8 bytes with the checksum.
	rootPairs  = dotsSize + 8
	rootFanOut = (blockSize - rootPairs - 8) / 8
	nodePairs  = entryHead
	nodeFanOut = (blockSize - nodePairs - 8) / 8
)

// dirEntry is a name in a directory.
type dirEntry struct {
	name  string
	inode uint32
	kind  uint8
	hash  nameHash
}

// size is what it takes of a block.
func (e *dirEntry) size() int { return align4(entryHead + len(e.name)) }

// dirLayout is how a directory's entries are spread over blocks.
type dirLayout struct {
	entries []dirEntry
	leaves  []int // index of the first entry of each; one leaf alone also has "." and ".."
	nodes   int   // blocks between root and leaves
}

// blocks is the number of blocks of the directory.
func (l *dirLayout) blocks() uint64 {
	if len(l.leaves) == 1 {
		return 1
	}
	return uint64(1 + l.nodes + len(l.leaves))
}

// layOutDir spreads entries, sorted by name, over blocks. Those that do not fit into one get a hash tree, ordered by
// hash.
func layOutDir(entries []dirEntry, seed [4]uint32) (*dirLayout, error) {
	size := dotsSize
	for i := range entries {
		size += entries[i].size()
	}
	l := &dirLayout{entries: entries, leaves: []int{0}}
	if size <= dirRoom {
		return l, nil
	}
	for i := range entries {
		entries[i].hash = hashName(seed, entries[i].name)
	}
	slices.SortStableFunc(entries, func(a, b dirEntry) int {
		return cmp.Or(cmp.Compare(a.hash.major, b.hash.major), cmp.Compare(a.hash.minor, b.hash.minor))
	})
	room := dirRoom
	for i := range entries {
		if n := entries[i].size(); n > room {
			l.leaves, room = append(l.leaves, i), dirRoom
		}
		room -= entries[i].size()
	}
	if len(l.leaves) == 1 { // without the dots it fits: the tree has one leaf, which is not a plain directory
		l.leaves = append(l.leaves, (len(entries)+1)/2)
	}
	if len(l.leaves) > rootFanOut {
		l.nodes = int(ceil(uint64(len(l.leaves)), nodeFanOut))
	}
	if l.nodes > rootFanOut {
		return nil, fmt.Errorf("%d entries are more than one directory of an ext4 image can hold; "+
			"spread them over several", len(entries))
	}
	return l, nil
}

// encode gives the blocks of directory number below parent. seed is the inode's.
func (l *dirLayout) encode(number, parent, seed uint32) []byte {
	out := make([]byte, l.blocks()*blockSize)
	if len(l.leaves) == 1 {
		last := putDots(out, number, parent, entryHead+4)
		at := dotsSize
		for i := range l.entries {
			last, at = at, at+putEntry(out[at:], &l.entries[i])
		}
		finishLeaf(out, last, seed)
		return out
	}
	block := func(i int) []byte { return out[i*blockSize:][:blockSize] }
	first := 1 + l.nodes // block of the first leaf
	var pairs []pair
	for i := range l.leaves {
		pairs = append(pairs, l.leaf(block(first+i), i, first+i, seed))
	}
	levels := 0
	if l.nodes > 0 {
		levels = 1
		var above []pair
		for i := range l.nodes {
			n := min(nodeFanOut, len(pairs))
			putNode(block(1+i), pairs[:n], seed)
			above = append(above, pair{pairs[0].hash, uint32(1 + i)})
			pairs = pairs[n:]
		}
		pairs = above
	}
	root := block(0)
	putDots(root, number, parent, blockSize-entryHead-4)
	info := root[dotsSize:]
	info[4], info[5], info[6] = hashVersion, 8, uint8(levels)
	putPairs(root, pairs, rootPairs, rootFanOut, seed)
	return out
}

// leaf fills the i-th leaf, which is the directory's block number, and gives the pair that leads to it.
func (l *dirLayout) leaf(b []byte, i, number int, seed uint32) pair {
	from, to := l.leaves[i], len(l.entries)
	if i+1 < len(l.leaves) {
		to = l.leaves[i+1]
	}
	at, last := 0, 0
	for j := from; j < to; j++ {
		last, at = at, at+putEntry(b[at:], &l.entries[j])
	}
	finishLeaf(b, last, seed)
	hash := l.entries[from].hash.major
	if from > 0 && l.entries[from-1].hash.major == hash {
		hash |= 1 // the leaf before has names with this hash too
	}
	return pair{hash, uint32(number)}
}

// putDots writes "." and "..", the second in an entry of size bytes, and gives where that begins.
func putDots(b []byte, number, parent uint32, size int) int {
	putEntry(b, &dirEntry{name: ".", inode: number, kind: entryDirectory})
	at := entryHead + 4
	putEntry(b[at:], &dirEntry{name: "..", inode: parent, kind: entryDirectory})
	le.PutUint16(b[at+4:], uint16(size))
	return at
}

// putEntry writes an entry and gives its size.
func putEntry(b []byte, e *dirEntry) int {
	size := e.size()
	le.PutUint32(b, e.inode)
	le.PutUint16(b[4:], uint16(size))
	b[6], b[7] = uint8(len(e.name)), e.kind
	copy(b[entryHead:], e.name)
	return size
}

// finishLeaf stretches the entry at last to the end of the block and adds the checksum.
func finishLeaf(b []byte, last int, seed uint32) {
	le.PutUint16(b[last+4:], uint16(dirRoom-last))
	tail := b[dirRoom:]
	le.PutUint16(tail[4:], dirTail)
	tail[7] = dirTailTag
	le.PutUint32(tail[8:], checksum(seed, b[:dirRoom]))
}

// pair leads to the block of a directory that has names from hash on.
type pair struct{ hash, block uint32 }

// putNode makes b a block between root and leaves.
func putNode(b []byte, list []pair, seed uint32) {
	le.PutUint16(b[4:], blockSize)
	putPairs(b, list, nodePairs, nodeFanOut, seed)
}

// putPairs writes pairs, at most limit, at offset at of a block, and the block's checksum. The place of the first
// one's hash, which goes without saying, tells their number.
func putPairs(b []byte, list []pair, at, limit int, seed uint32) {
	for i, p := range list {
		le.PutUint32(b[at+8*i:], p.hash)
		le.PutUint32(b[at+8*i+4:], p.block)
	}
	le.PutUint16(b[at:], uint16(limit))
	le.PutUint16(b[at+2:], uint16(len(list)))
	tail := b[at+8*limit:]
	le.PutUint32(tail[4:], checksum(seed, b[:at+8*len(list)], tail[:8])) // its own place counts as zeros
}

// entryType is the number of a type in directory entries.
func entryType(t fstree.Type) uint8 {
	switch t {
	case fstree.Directory:
		return entryDirectory
	case fstree.Regular:
		return entryRegular
	case fstree.Symlink:
		return entrySymlink
	case fstree.BlockDevice:
		return entryBlock
	case fstree.CharDevice:
		return entryChar
	case fstree.FIFO:
		return entryFIFO
	}
	return entrySocket
}
