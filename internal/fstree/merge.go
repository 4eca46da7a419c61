package fstree

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Names that make an entry a whiteout (OCI image specification, layer.md, "Whiteouts"). Other names that begin with
// aufsPrefix are the bookkeeping of aufs, where whiteouts come from: they name nothing of the image.
const (
	whiteoutPrefix = ".wh."
	aufsPrefix     = ".wh..wh."
	opaqueName     = ".wh..wh..opq"
)

// IsWhiteout tells whether an entry at path says something of a layer, and names no file of it.
func IsWhiteout(path string) bool {
	return strings.HasPrefix(path, whiteoutPrefix) || strings.Contains(path, "/"+whiteoutPrefix)
}

// Mode of directories that no layer has an entry for; owner 0:0, time 0.
const impliedDirMode = 0o755

// slabSize is how many nodes are allocated at a time.
const slabSize = 512

// Merger applies layers one after the other, the base first. The zero value is not ready: use NewMerger. After an
// error it is of no more use.
type Merger struct {
	root   *Node
	layer  int32 // number of the layer being added
	layers int32
	slab   []Node
	walk   walk

	// The directory that the last entry's parent path resolved to. Only removals change where an existing path leads.
	parent    string
	parentDir *Node

	// late holds the names that the layer being added gave to nodes of lower layers: they are its own names, which its
	// whiteouts do not hide.
	late map[lateName]struct{}
}

type lateName struct {
	dir  *Node
	name string
}

// NewMerger starts with an empty root directory: mode 0755, owner 0:0, time 0.
func NewMerger() *Merger {
	m := &Merger{layer: -1, late: map[lateName]struct{}{}}
	m.root = m.newDir()
	return m
}

// AddLayer applies the entries of a layer, in their order. An error names the layer as name does and the entry.
//
// The rules are those of the OCI image specification, layer.md, "Applying Changesets"; where it is silent, the result
// is what umoci unpack makes. An entry below a symlink of the tree so far lands where the link leads within the root.
func (m *Merger) AddLayer(name string, entries iter.Seq2[Entry, error]) error {
	return m.addLayer(name, entries, m.apply)
}

// AddMissing applies only those entries of a layer whose path names nothing yet. The layer's first entry stands for all
// of it: where there is something at its path already, nothing of the layer is applied.
func (m *Merger) AddMissing(name string, entries iter.Seq2[Entry, error]) error {
	first, skip := true, false
	return m.addLayer(name, entries, func(e *Entry) error {
		missing := m.isMissing(e.Path)
		if first {
			first, skip = false, !missing
		}
		if skip || !missing {
			return nil
		}
		return m.apply(e)
	})
}

// isMissing tells whether path names nothing, and something could be put there.
func (m *Merger) isMissing(path string) bool {
	parent, name := split(path)
	w := &m.walk
	if err := w.follow(m.root, parent); err != nil {
		return false
	}
	dir := w.top()
	return dir.Type == Directory && (len(w.missing) > 0 || dir.more.children.lookup(name) == nil)
}

func (m *Merger) addLayer(name string, entries iter.Seq2[Entry, error], apply func(*Entry) error) error {
	m.layer = m.layers
	m.layers++
	m.forgetParent()
	clear(m.late)
	for e, err := range entries {
		if err == nil {
			err = apply(&e)
			if err != nil {
				err = fmt.Errorf("entry %q: %w", e.Path, err)
			}
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", name, err)
		}
	}
	return nil
}

func (m *Merger) apply(e *Entry) error {
	if e.Path == rootPath {
		if e.Type != Directory {
			return errors.New("the root must be a directory")
		}
		m.root.more.touched = m.layer
		return m.describe(m.root, e)
	}
	parent, name := split(e.Path)
	if strings.Contains(parent, whiteoutPrefix) {
		if skip, err := checkParent(parent); skip || err != nil {
			return err
		}
	}
	if strings.HasPrefix(name, whiteoutPrefix) {
		return m.whiteout(parent, name)
	}
	dir, err := m.makeParent(parent)
	if err != nil {
		return err
	}
	return m.put(dir, name, e)
}

// split cuts path into its parent, "" for the root, and its last name.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// checkParent looks for whiteouts among the elements of an entry's parent path; skip is true for aufs's own entries.
func checkParent(parent string) (skip bool, err error) {
	for elem := range strings.SplitSeq(parent, "/") {
		switch {
		case strings.HasPrefix(elem, aufsPrefix):
			return true, nil
		case strings.HasPrefix(elem, whiteoutPrefix):
			return false, fmt.Errorf("it is below the whiteout %q, which cannot have entries", elem)
		}
	}
	return false, nil
}

// makeParent resolves the path of a new entry's parent and makes the directories that are missing.
func (m *Merger) makeParent(path string) (*Node, error) {
	if m.parentDir != nil && path == m.parent {
		return m.parentDir, nil
	}
	w := &m.walk
	if err := w.follow(m.root, path); err != nil {
		return nil, err
	}
	dir := w.top()
	if dir.Type != Directory {
		return nil, fmt.Errorf("%q is %w", w.path(), errNotDirectory)
	}
	for _, n := range w.nodes {
		n.more.touched = m.layer
	}
	for _, name := range w.missing {
		// Such names come from a symlink's target.
		if len(name) > maxName || strings.HasPrefix(name, whiteoutPrefix) {
			return nil, fmt.Errorf("a symlink on the way leads to %q, which cannot be the name of a directory", name)
		}
		child := m.newDir()
		c, i, _ := dir.more.children.find(name)
		dir.more.children.insert(c, i, Dirent{strings.Clone(name), child})
		dir = child
	}
	m.parent, m.parentDir = path, dir
	return dir, nil
}

func (m *Merger) forgetParent() { m.parent, m.parentDir = "", nil }

// put makes e the child name of dir.
func (m *Merger) put(dir *Node, name string, e *Entry) error {
	list := &dir.more.children
	c, i, found := list.find(name)
	if found {
		old := (*list)[c][i].Node
		if old.Type == Directory && e.Type == Directory {
			old.more.touched = m.layer
			return m.describe(old, e)
		}
		list.remove(c, i)
		m.forgetParent()
		c, i, _ = list.find(name)
	}
	var n *Node
	if e.Type == HardLink {
		target, err := m.linkTarget(e.Link)
		if err != nil {
			return err
		}
		n = target
		if n.Layer != m.layer {
			m.late[lateName{dir, name}] = struct{}{}
		}
	} else {
		n = m.newNode()
		if err := m.describe(n, e); err != nil {
			return err
		}
	}
	// The name is cloned because it is a part of the entry's whole path.
	list.insert(c, i, Dirent{strings.Clone(name), n})
	return nil
}

// linkTarget finds the node that a hard link names. A symlink at the end is not followed: it is what is linked.
func (m *Merger) linkTarget(path string) (*Node, error) {
	if path == rootPath {
		return nil, errors.New("hard link to the root directory")
	}
	parent, name := split(path)
	w := &m.walk
	if err := w.follow(m.root, parent); err != nil {
		return nil, fmt.Errorf("hard link to %q: %w", path, err)
	}
	var n *Node
	if dir := w.top(); len(w.missing) == 0 && dir.Type == Directory {
		n = dir.more.children.lookup(name)
	}
	switch {
	case n == nil:
		return nil, fmt.Errorf("hard link to %q, which is not in the image at that point", path)
	case n.Type == Directory:
		return nil, fmt.Errorf("hard link to the directory %q", path)
	}
	return n, nil
}

// whiteout hides what lower layers have at the name behind the prefix, or all they have in the directory. What the
// layer itself has is not hidden, wherever it stands in the layer. A whiteout of nothing is no error.
func (m *Merger) whiteout(parent, name string) error {
	opaque := name == opaqueName
	if !opaque && strings.HasPrefix(name, aufsPrefix) {
		return nil
	}
	hidden := name[len(whiteoutPrefix):]
	if hidden == "" || hidden == "." || hidden == ".." {
		return fmt.Errorf("a whiteout of the name %q", hidden)
	}
	w := &m.walk
	if err := w.follow(m.root, parent); err != nil && !errors.Is(err, errNotDirectory) {
		return err
	} else if dir := w.top(); err != nil || len(w.missing) > 0 || dir.Type != Directory {
		return nil
	} else if opaque {
		m.hideChildren(dir)
	} else if c, i, found := dir.more.children.find(hidden); found && m.hide(dir, dir.more.children[c][i]) {
		dir.more.children.remove(c, i)
	}
	m.forgetParent()
	return nil
}

// hide tells whether the name d of dir is of lower layers only. If it is a directory with something of this layer, its
// other children go, and so does what lower layers said about it: the result is the same as if the whiteout came first.
func (m *Merger) hide(dir *Node, d Dirent) bool {
	n := d.Node
	if n.Type != Directory {
		_, late := m.late[lateName{dir, d.Name}]
		return n.Layer != m.layer && !late
	}
	if n.more.touched != m.layer {
		return true
	}
	if n.Layer != m.layer {
		n.Mode, n.UID, n.GID, n.ModTime, n.Layer, n.more.xattrs = impliedDirMode, 0, 0, 0, m.layer, nil
	}
	m.hideChildren(n)
	return false
}

func (m *Merger) hideChildren(dir *Node) {
	dir.more.children.filter(func(d Dirent) bool { return !m.hide(dir, d) })
}

func (m *Merger) newNode() *Node {
	if len(m.slab) == 0 {
		m.slab = make([]Node, slabSize)
	}
	n := &m.slab[0]
	m.slab = m.slab[1:]
	return n
}

func (m *Merger) newDir() *Node {
	n := m.newNode()
	*n = Node{
		Type: Directory, Mode: impliedDirMode, Content: NoContent, Layer: m.layer, more: &details{touched: m.layer},
	}
	return n
}

// describe gives n the metadata and content of e. A directory keeps its children.
func (m *Merger) describe(n *Node, e *Entry) error {
	if n.more == nil && (e.Type != Regular || len(e.Xattrs) > 0) {
		n.more = &details{touched: m.layer}
	}
	n.Type, n.Mode, n.UID, n.GID, n.ModTime = e.Type, e.Mode&0o7777, e.UID, e.GID, e.ModTime
	n.Layer, n.Content = m.layer, NoContent
	switch e.Type {
	case Directory, FIFO, Socket:
	case Regular:
		if e.Content == NoContent {
			return errors.New("a regular file without content")
		}
		n.Content = e.Content
	case Symlink:
		n.Mode, n.more.link = 0o777, e.Link
	case CharDevice, BlockDevice:
		n.more.major, n.more.minor = e.Major, e.Minor
	default:
		return fmt.Errorf("an entry of the unknown type %d", e.Type)
	}
	if n.more != nil {
		n.more.xattrs = slices.Clip(e.Xattrs)
	}
	return nil
}
