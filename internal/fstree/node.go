package fstree

// Node is one inode of a merged tree. Fields that few nodes need lie behind a pointer and have methods: an image may
// have a million nodes.
type Node struct {
	Type     Type   // never HardLink
	Mode     uint16 // permission bits with setuid, setgid and sticky (07777); 0777 for a symlink, as Linux has it
	UID, GID uint32
	Content  uint32 // of a regular file: its number in the pack of Layer; else NoContent
	Layer    int32  // number of the layer that gave it metadata and content, 0 the base; -1 where none did
	Links    uint32 // names of the node; of a directory: 2 and one for each subdirectory. Set by Merger.Tree.
	ModTime  int64  // seconds since 1970-01-01 UTC, may be negative
	more     *details
}

// details are what a Node holds beyond the common fields.
type details struct {
	link         string // of a symlink
	major, minor uint32 // of a device
	xattrs       []Xattr
	children     children // of a directory
	touched      int32    // of a directory: last layer with an entry at or below it
}

// Dirent is one name in a directory. The names of a hard link share one node.
type Dirent struct {
	Name string
	Node *Node
}

// Link is the target of a symlink, as it stood in the layer.
func (n *Node) Link() string {
	if n.more == nil {
		return ""
	}
	return n.more.link
}

// Device is the number of a device.
func (n *Node) Device() (major, minor uint32) {
	if n.more == nil {
		return 0, 0
	}
	return n.more.major, n.more.minor
}

// Xattrs are the node's extended attributes, sorted by name.
func (n *Node) Xattrs() []Xattr {
	if n.more == nil {
		return nil
	}
	return n.more.xattrs
}

// Children are the entries of a directory of a finished Tree, sorted bytewise by name. The slice is the tree's own.
func (n *Node) Children() []Dirent {
	if n.more == nil || len(n.more.children) == 0 {
		return nil
	}
	return n.more.children[0]
}

// chunkSize bounds what an insertion moves, so that filling a large directory in any order stays cheap.
const chunkSize = 256

// children is a directory's sorted list, cut into non-empty chunks of at most chunkSize entries.
type children [][]Dirent

// find gives the place of name: chunk c, entry i. When found is false, that is where it belongs.
func (l children) find(name string) (c, i int, found bool) {
	if len(l) == 0 {
		return 0, 0, false
	}
	// The last chunk whose first name is not after name.
	lo, hi := 0, len(l)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if l[mid][0].Name <= name {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	chunk := l[lo]
	last := len(chunk) - 1
	if chunk[last].Name < name { // layers mostly come in order
		return lo, last + 1, false
	}
	i, j := 0, last
	for i < j {
		if mid := (i + j) / 2; chunk[mid].Name < name {
			i = mid + 1
		} else {
			j = mid
		}
	}
	return lo, i, chunk[i].Name == name
}

func (l children) lookup(name string) *Node {
	if c, i, found := l.find(name); found {
		return l[c][i].Node
	}
	return nil
}

// insert puts d at the place that find gave.
func (l *children) insert(c, i int, d Dirent) {
	if len(*l) == 0 {
		*l = children{{d}}
		return
	}
	chunk := (*l)[c]
	if len(chunk) == chunkSize {
		if i == chunkSize && c == len(*l)-1 { // in order: keep the chunk full
			*l = append(*l, append(make([]Dirent, 0, chunkSize), d))
			return
		}
		upper := append(make([]Dirent, 0, chunkSize), chunk[chunkSize/2:]...)
		clear(chunk[chunkSize/2:])
		chunk = chunk[:chunkSize/2]
		(*l)[c] = chunk
		*l = append(*l, nil)
		copy((*l)[c+2:], (*l)[c+1:])
		(*l)[c+1] = upper
		if i > len(chunk) {
			c, i, chunk = c+1, i-len(chunk), upper
		}
	}
	chunk = append(chunk, Dirent{})
	copy(chunk[i+1:], chunk[i:])
	chunk[i] = d
	(*l)[c] = chunk
}

// remove drops the entry at the place that find gave.
func (l *children) remove(c, i int) {
	chunk := (*l)[c]
	copy(chunk[i:], chunk[i+1:])
	chunk[len(chunk)-1] = Dirent{}
	(*l)[c] = chunk[:len(chunk)-1]
	if len((*l)[c]) == 0 {
		*l = append((*l)[:c], (*l)[c+1:]...)
	}
}

// filter keeps the entries for which keep is true.
func (l *children) filter(keep func(Dirent) bool) {
	out := (*l)[:0]
	for _, chunk := range *l {
		kept := chunk[:0]
		for _, d := range chunk {
			if keep(d) {
				kept = append(kept, d)
			}
		}
		clear(chunk[len(kept):])
		if len(kept) > 0 {
			out = append(out, kept)
		}
	}
	clear((*l)[len(out):])
	*l = out
}

// flatten makes the list one chunk, of the exact size.
func (l *children) flatten() {
	n := 0
	for _, chunk := range *l {
		n += len(chunk)
	}
	if n == 0 {
		*l = nil
		return
	}
	if len(*l) == 1 && cap((*l)[0]) == n {
		return
	}
	flat := make([]Dirent, 0, n)
	for _, chunk := range *l {
		flat = append(flat, chunk...)
	}
	*l = children{flat}
}
