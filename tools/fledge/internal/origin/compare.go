package origin

import (
	"fmt"
	"iter"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// comparison goes through an artifact and the tree of an image side by side.
type comparison struct {
	report  *Report
	sizes   [][]int64 // of the layers' files, by Content
	missing int       // names of the tree that are not in the artifact, and nothing that was added explains that
	first   string    // of the names that are missing or something else
	gone    string    // the last directory of the tree that is something else, with a slash; "" for none

	// What has several names and was counted.
	inodes map[uint64]bool
	nodes  map[*fstree.Node]bool
}

// run compares. Both are in the same order, so neither is kept.
func (c *comparison) run(a artifact.Artifact, tree *fstree.Tree) error {
	next, stop := iter.Pull2(tree.All())
	defer stop()
	path, node, more := next()
	for e, err := range a.Walk(".") {
		if err != nil {
			return err
		}
		for more && before(path, e.Path) {
			c.miss(path)
			path, node, more = next()
		}
		layer := len(c.report.Layers) - 1
		if more && path == e.Path {
			if c.same(e, node) {
				layer = c.match(node)
			} else {
				c.replaced(path, node)
			}
			path, node, more = next()
		}
		c.count(e, layer)
	}
	for ; more; path, _, more = next() {
		c.miss(path)
	}
	return nil
}

// before is the order of walks: a directory before what is in it, and that in the order of the names' bytes.
func before(a, b string) bool {
	if a == "." || b == "." {
		return a == "." && b != "."
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	switch {
	case n == len(b):
		return false
	case n == len(a):
		return true
	}
	return a[n] == '/' || b[n] != '/' && a[n] < b[n]
}

// same compares what can be without reading contents.
func (c *comparison) same(e *artifact.Entry, n *fstree.Node) bool {
	switch {
	case e.Type != n.Type:
		return false
	case e.Type == fstree.Regular:
		return e.Size == c.sizes[n.Layer][n.Content]
	case e.Type == fstree.Symlink:
		return e.Target == n.Link()
	}
	return true
}

// match is for a node that is in the artifact, and gives the index of its layer.
func (c *comparison) match(n *fstree.Node) int {
	if n.Layer < 0 {
		return len(c.report.Layers) - 1
	}
	if n.Type == fstree.Regular && !c.nodes[n] {
		row := &c.report.Layers[n.Layer]
		row.HiddenFiles--
		row.HiddenBytes -= c.sizes[n.Layer][n.Content]
		if n.Links > 1 {
			c.nodes[n] = true
		}
	}
	return int(n.Layer)
}

// replaced is for a name that is something else in the artifact.
func (c *comparison) replaced(path string, n *fstree.Node) {
	c.report.Replaced++
	if c.first == "" {
		c.first = path
	}
	if n.Type == fstree.Directory {
		c.gone = path + "/"
	}
}

// miss is for a name that is not in the artifact.
func (c *comparison) miss(path string) {
	if c.gone != "" && strings.HasPrefix(path, c.gone) {
		c.report.Replaced++
		return
	}
	if c.missing++; c.missing == 1 {
		c.first = path
	}
}

// count adds an entry of the artifact to a layer.
func (c *comparison) count(e *artifact.Entry, layer int) {
	c.report.layers = append(c.report.layers, int32(layer))
	if e.Type != fstree.Regular || c.inodes[e.Inode] {
		return
	}
	if e.Links > 1 {
		c.inodes[e.Inode] = true
	}
	row := &c.report.Layers[layer]
	row.Files++
	row.Bytes += e.Size
	row.Stored += e.Stored
}

// verdict is the error for an artifact that was not made of the image, which has a number of names.
func (c *comparison) verdict(names int) error {
	replaced := c.report.Replaced
	if c.missing == 0 && replaced <= names/2 {
		return nil
	}
	return fmt.Errorf("it was not made of %s, %s: of the image's %d files and directories %d are missing and %d are others, first %.300q; "+
		"name the image that it was made of, with its digest", c.report.Image, c.report.Digest, names, c.missing, replaced, c.first)
}
