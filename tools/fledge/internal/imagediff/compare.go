// Package imagediff tells what differs between two images, file by file and attribute by attribute.
package imagediff

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
)

// Attributes are what can differ, and what can be ignored: of the images as a whole, of their manifests, and of entries.
// That an entry is there, or has another type, cannot be ignored.
var Attributes = []string{
	"image", "manifest", "mode", "uid", "gid", "mtime", "size", "content", "target", "device", "hardlink", "xattrs",
}

// Difference is an attribute with both of its values; "" is none.
type Difference struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// Kinds of changes.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is what differs of a path.
type Change struct {
	Kind        string
	A, B        *artifact.Entry // nil in the image that has none
	Differences []Difference    // of what changed, or the type of what was added or removed
}

// Path is the path that changed.
func (c *Change) Path() string {
	if c.B != nil {
		return c.B.Path
	}
	return c.A.Path
}

// comparer compares two images.
type comparer struct {
	a, b   side
	ignore map[string]bool
	sum    Sum
}

// side is one of the images.
type side struct {
	im    *imagefile.Image
	first map[uint64]string // by inode: the first of several names
}

// Sum adds up changes. Sizes are of contents, that of several names counted once.
type Sum struct {
	Added        int   `json:"added"`
	Removed      int   `json:"removed"`
	Changed      int   `json:"changed"`
	AddedSize    int64 `json:"added_size"`    // bytes of files added
	RemovedSize  int64 `json:"removed_size"`  // bytes of files removed
	ChangedDelta int64 `json:"changed_delta"` // bytes that changed files grew by
	SizeA        int64 `json:"size_a"`        // bytes of all files
	SizeB        int64 `json:"size_b"`
	StoredA      int64 `json:"stored_a"` // bytes of the images
	StoredB      int64 `json:"stored_b"`
}

// entries gives what has to be compared in the order of the trees: pairs of entries with the same path, of which one may
// be nil.
func (c *comparer) entries() iter.Seq2[[2]*artifact.Entry, error] {
	return func(yield func([2]*artifact.Entry, error) bool) {
		nextA, stopA := iter.Pull2(c.a.im.Walk("."))
		defer stopA()
		nextB, stopB := iter.Pull2(c.b.im.Walk("."))
		defer stopB()
		a, errA := take(nextA)
		b, errB := take(nextB)
		for errA == nil && errB == nil && (a != nil || b != nil) {
			order := compare(a, b)
			pair := [2]*artifact.Entry{}
			if order <= 0 {
				pair[0] = a
				a, errA = take(nextA)
			}
			if order >= 0 {
				pair[1] = b
				b, errB = take(nextB)
			}
			if !yield(pair, nil) {
				return
			}
		}
		switch {
		case errA != nil:
			yield([2]*artifact.Entry{}, fmt.Errorf("%s: %w", c.a.im.Name, errA))
		case errB != nil:
			yield([2]*artifact.Entry{}, fmt.Errorf("%s: %w", c.b.im.Name, errB))
		}
	}
}

// take is the next entry, nil at the end.
func take(next func() (*artifact.Entry, error, bool)) (*artifact.Entry, error) {
	e, err, _ := next()
	return e, err
}

// compare orders entries as they are in a tree; nil comes behind all.
func compare(a, b *artifact.Entry) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	case a.Path == b.Path:
		return 0
	case a.Path == ".":
		return -1
	case b.Path == ".":
		return 1
	}
	return slices.Compare(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"))
}

// leader is the first name of an entry's inode when it is another one. It also tells whether the content is to be counted.
func (s *side) leader(e *artifact.Entry) string {
	if e == nil || e.Links < 2 || e.Type == fstree.Directory {
		return ""
	}
	name, ok := s.first[e.Inode]
	if !ok {
		s.first[e.Inode] = e.Path
	}
	return name
}

// change compares a pair; nil is no change.
func (c *comparer) change(a, b *artifact.Entry) (*Change, error) {
	leaderA, leaderB := c.a.leader(a), c.b.leader(b)
	sizeA, sizeB := c.size(a, leaderA), c.size(b, leaderB)
	c.sum.SizeA += sizeA
	c.sum.SizeB += sizeB
	switch {
	case a == nil:
		c.sum.Added++
		c.sum.AddedSize += sizeB
		return &Change{Kind: Added, B: b}, nil
	case b == nil:
		c.sum.Removed++
		c.sum.RemovedSize += sizeA
		return &Change{Kind: Removed, A: a}, nil
	}
	list, err := c.differences(a, b)
	if err != nil {
		return nil, err
	}
	if leaderA != leaderB && !c.ignore["hardlink"] {
		list = append(list, Difference{"hardlink", leaderA, leaderB})
	}
	if len(list) == 0 {
		return nil, nil
	}
	c.sum.Changed++
	c.sum.ChangedDelta += sizeB - sizeA
	return &Change{Kind: Changed, A: a, B: b, Differences: list}, nil
}

// size is what an entry's content counts for.
func (c *comparer) size(e *artifact.Entry, leader string) int64 {
	if e == nil || e.Type != fstree.Regular || leader != "" {
		return 0
	}
	return e.Size
}

// differences compares the attributes of entries.
func (c *comparer) differences(a, b *artifact.Entry) ([]Difference, error) {
	var list []Difference
	add := func(name, inA, inB string) {
		if inA != inB && !c.ignore[name] {
			list = append(list, Difference{name, inA, inB})
		}
	}
	sameType := a.Type == b.Type
	add("type", a.TypeName(), b.TypeName())
	add("mode", fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", b.Mode))
	add("uid", fmt.Sprint(a.UID), fmt.Sprint(b.UID))
	add("gid", fmt.Sprint(a.GID), fmt.Sprint(b.GID))
	add("mtime", fmt.Sprint(a.ModTime), fmt.Sprint(b.ModTime))
	if sameType && a.Type == fstree.Regular {
		add("size", fmt.Sprint(a.Size), fmt.Sprint(b.Size))
		if !c.ignore["content"] {
			digestA, digestB, err := c.digests(a, b)
			if err != nil {
				return nil, err
			}
			add("content", digestA, digestB)
		}
	}
	if sameType {
		add("target", a.Target, b.Target)
		if a.IsDevice() {
			add("device", fmt.Sprintf("%d,%d", a.Major, a.Minor), fmt.Sprintf("%d,%d", b.Major, b.Minor))
		}
	}
	if !c.ignore["xattrs"] {
		list = append(list, xattrs(a.Xattrs, b.Xattrs)...)
	}
	return list, nil
}

// digests are those of two contents. Both images are read at once.
func (c *comparer) digests(a, b *artifact.Entry) (digestA, digestB string, err error) {
	var sumB [sha256.Size]byte
	done := make(chan error, 1)
	go func() {
		var err error
		sumB, err = c.b.im.Digest(b)
		done <- err
	}()
	sumA, errA := c.a.im.Digest(a)
	errB := <-done
	switch {
	case errA != nil:
		return "", "", fmt.Errorf("%s: %w", c.a.im.Name, errA)
	case errB != nil:
		return "", "", fmt.Errorf("%s: %w", c.b.im.Name, errB)
	}
	return fmt.Sprintf("sha256:%x", sumA), fmt.Sprintf("sha256:%x", sumB), nil
}

// xattrs compares sorted lists of extended attributes. Values are in hexadecimal digits, "0x" alone is an empty one.
func xattrs(a, b []fstree.Xattr) []Difference {
	var list []Difference
	for len(a) > 0 || len(b) > 0 {
		var d Difference
		inA := len(a) > 0 && (len(b) == 0 || a[0].Name <= b[0].Name)
		inB := len(b) > 0 && (len(a) == 0 || b[0].Name <= a[0].Name)
		if inA {
			d.Name, d.A = "xattr "+a[0].Name, fmt.Sprintf("0x%x", a[0].Value)
			a = a[1:]
		}
		if inB {
			d.Name, d.B = "xattr "+b[0].Name, fmt.Sprintf("0x%x", b[0].Value)
			b = b[1:]
		}
		if d.A != d.B {
			list = append(list, d)
		}
	}
	return list
}
