package fstree

import "errors"

// ErrEmpty says that no layer left anything below the root.
var ErrEmpty = errors.New("the image is empty: its layers leave no file or directory")

// Tree is the result of a merge.
type Tree struct {
	Root   *Node
	Inodes int // nodes, the root among them
	Names  int // directory entries; more than Inodes-1 where there are hard links
}

// Tree finishes the merge. Without anything below the root the error is ErrEmpty. The Merger is of no more use.
func (m *Merger) Tree() (*Tree, error) {
	t := &Tree{Root: m.root}
	t.finish(m.root)
	if t.Names == 0 {
		return nil, ErrEmpty
	}
	return t, nil
}

// finish counts names and links at and below dir and gives the children their final form.
func (t *Tree) finish(dir *Node) {
	dir.more.children.flatten()
	dir.Links = 2
	t.Inodes++
	for _, d := range dir.Children() {
		t.Names++
		n := d.Node
		if n.Type == Directory {
			dir.Links++
			t.finish(n)
			continue
		}
		if n.Links == 0 {
			t.Inodes++
		}
		n.Links++
	}
}
