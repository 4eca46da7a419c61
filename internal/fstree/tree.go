package fstree

import (
	"errors"
	"iter"
)

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

// All are the names of the tree with their nodes: the root first, as ".", and each directory before its entries, which
// are sorted bytewise.
func (t *Tree) All() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		if yield(rootPath, t.Root) {
			all(t.Root, "", yield)
		}
	}
}

// all goes through what is below dir, whose path and a slash are prefix.
func all(dir *Node, prefix string, yield func(string, *Node) bool) bool {
	for _, d := range dir.Children() {
		path := prefix + d.Name
		if !yield(path, d.Node) || d.Node.Type == Directory && !all(d.Node, path+"/", yield) {
			return false
		}
	}
	return true
}
