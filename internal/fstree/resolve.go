package fstree

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Limits of Linux, which nothing that a guest could use passes.
const (
	maxLinks = 40   // symlinks followed in one resolution
	maxName  = 255  // bytes of one name
	maxDepth = 2048 // directories above one another: what fits into a path of 4095 bytes
)

// rootPath is the path of the root itself.
const rootPath = "."

var (
	errLoop         = errors.New("too many symbolic links on the way (a loop?)")
	errTooDeep      = fmt.Errorf("more than %d directories above one another", maxDepth)
	errNotDirectory = errors.New("not a directory")
)

// walk is the resolution of a path in a tree as a process with that root sees it: symlinks are followed, and neither
// ".." nor an absolute target leads out.
type walk struct {
	nodes   []*Node  // what was passed: the root first, the node reached last
	names   []string // their names, without the root's
	missing []string // names that follow the node reached and are not in the tree
}

// follow resolves path from root, including a symlink at its end. Names that do not exist are no error: they are taken
// as directories to be made, as securejoin (and with it umoci and containerd) does.
func (w *walk) follow(root *Node, path string) error {
	w.nodes, w.names, w.missing = append(w.nodes[:0], root), w.names[:0], w.missing[:0]
	links := 0
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, "/")
		switch {
		case name == "" || name == ".":
		case name == "..":
			w.up()
		case len(w.nodes)+len(w.missing) > maxDepth:
			return errTooDeep
		case len(w.missing) > 0:
			w.missing = append(w.missing, name)
		case w.top().Type != Directory:
			return fmt.Errorf("%q is %w", w.path(), errNotDirectory)
		default:
			target := w.step(name)
			if target == "" {
				continue
			}
			if links++; links > maxLinks {
				return errLoop
			}
			if target[0] == '/' {
				w.nodes, w.names = w.nodes[:1], w.names[:0]
			}
			path = target + "/" + path
		}
	}
	return nil
}

// step goes to the child name of the top, or gives the target of the symlink that is there.
func (w *walk) step(name string) (target string) {
	child := w.top().more.children.lookup(name)
	switch {
	case child == nil:
		w.missing = append(w.missing, name)
	case child.Type == Symlink:
		return child.more.link
	default:
		w.nodes, w.names = append(w.nodes, child), append(w.names, name)
	}
	return ""
}

func (w *walk) up() {
	switch {
	case len(w.missing) > 0:
		w.missing = w.missing[:len(w.missing)-1]
	case len(w.names) > 0:
		w.nodes, w.names = w.nodes[:len(w.nodes)-1], w.names[:len(w.names)-1]
	}
}

func (w *walk) top() *Node { return w.nodes[len(w.nodes)-1] }

// path is where the node reached lies, relative to the root.
func (w *walk) path() string {
	if len(w.names) == 0 {
		return rootPath
	}
	return strings.Join(w.names, "/")
}

// Lookup finds what a process with the tree as its root would find at path, absolute or relative to the root: symlinks
// are followed, also at the end. resolved is the node's own path, relative to the root, "." for the root itself.
// A path that leads nowhere gives an error that matches fs.ErrNotExist.
func (t *Tree) Lookup(path string) (n *Node, resolved string, err error) {
	var w walk
	if err := w.follow(t.Root, path); err != nil {
		return nil, "", fmt.Errorf("%q: %w", path, err)
	}
	if len(w.missing) > 0 {
		return nil, "", fmt.Errorf("%q: %w: %q has no %q", path, fs.ErrNotExist, w.path(), w.missing[0])
	}
	return w.top(), w.path(), nil
}
