package cpiopack

import (
	"hash/fnv"
	"slices"
)

// links finds which file of a layer a hard link names, by the hash of the path: a false hit costs that a segment is
// written anew when the initramfs is linked, for which only the merged tree counts.
type links struct {
	contents map[uint64]uint32   // by path
	waiting  map[uint32][]string // further names of contents whose segment is not compressed yet
	late     map[uint32]struct{} // contents that got a further name after that
	flushed  uint32              // contents below are in compressed segments
}

func newLinks() links {
	return links{contents: map[uint64]uint32{}, waiting: map[uint32][]string{}, late: map[uint32]struct{}{}}
}

func hashPath(path string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(path))
	return h.Sum64()
}

// file notes a file and the number of its content.
func (l *links) file(path string, content uint32) { l.contents[hashPath(path)] = content }

// add notes a hard link. One to another type of file, or to a file of a lower layer, is none of ours.
func (l *links) add(path, target string) {
	content, ok := l.contents[hashPath(target)]
	switch {
	case !ok:
		return
	case content < l.flushed:
		l.late[content] = struct{}{}
	default:
		l.waiting[content] = append(l.waiting[content], path)
	}
	l.contents[hashPath(path)] = content
}

// resolve gives f, whose segment is about to be compressed, all names it has so far.
func (l *links) resolve(f *file) {
	f.names = append(f.names, l.waiting[f.content]...)
	slices.Sort(f.names)
	f.names = slices.Compact(f.names)
	delete(l.waiting, f.content)
	l.flushed = f.content + 1
}
