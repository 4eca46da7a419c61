// Package inspect shows what is in images: a summary, a tree, JSON and mtree(5). docs/inspect.md tells the formats.
package inspect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// Totals add up entries. Content that has several names counts once.
type Totals struct {
	Files       int   `json:"files"` // regular
	Directories int   `json:"directories"`
	Symlinks    int   `json:"symlinks"`
	Devices     int   `json:"devices"`
	Others      int   `json:"others"`     // FIFOs and sockets
	HardLinks   int   `json:"hard_links"` // names beyond the first of an inode
	Xattrs      int   `json:"xattrs"`     // extended attributes
	Size        int64 `json:"size"`       // bytes of content
	Stored      int64 `json:"stored"`     // bytes that it takes in the image
	Oldest      int64 `json:"oldest"`     // modification time, seconds since 1970-01-01 UTC
	Newest      int64 `json:"newest"`
}

// Usage is what a directory holds with all below it, or what a file has.
type Usage struct {
	Path   string
	Files  int // regular
	Size   int64
	Stored int64
}

// Summary is what the entries of an image come to.
type Summary struct {
	Totals      Totals
	Owners      map[[2]uint32]int // entries by uid and gid
	Segments    []Usage           // of a cpio archive: contents by segment
	Directories []Usage           // to the depth asked for, in the order of the tree
	Largest     []Usage           // files, the largest first
}

// largestFiles is how many files the summary names.
const largestFiles = 10

// summarizer adds up entries in the order of a walk.
type summarizer struct {
	s     Summary
	depth int
	open  []int // indexes of the directories that the entry at hand is in
	base  int   // depth of the path that the walk began at
	links map[uint64]bool
}

// Summarize adds up what is at path and below it; directories to a depth below path, all when it is negative.
func Summarize(a artifact.Artifact, path string, depth int) (*Summary, error) {
	z := newSummarizer(a, path, depth)
	for e, err := range a.Walk(path) {
		if err != nil {
			return nil, err
		}
		z.add(e)
	}
	return &z.s, nil
}

func newSummarizer(a artifact.Artifact, path string, depth int) *summarizer {
	z := &summarizer{depth: depth, base: depthOf(path), links: map[uint64]bool{}}
	z.s.Owners = map[[2]uint32]int{}
	z.s.Segments = make([]Usage, len(a.Info().Segments))
	return z
}

// empty tells that there was no entry yet.
func (z *summarizer) empty() bool { return len(z.s.Owners) == 0 }

// depthOf is how many directories are above a path, the root not counted: -1 for the root itself.
func depthOf(path string) int {
	if path == "." {
		return -1
	}
	return strings.Count(path, "/")
}

func (z *summarizer) add(e *artifact.Entry) {
	t := &z.s.Totals
	if z.empty() {
		t.Oldest, t.Newest = e.ModTime, e.ModTime
	}
	t.Oldest, t.Newest = min(t.Oldest, e.ModTime), max(t.Newest, e.ModTime)
	z.s.Owners[[2]uint32{e.UID, e.GID}]++
	t.Xattrs += len(e.Xattrs)
	depth := depthOf(e.Path)
	level := depth - z.base
	for k := len(z.open) - 1; k >= 0 && depthOf(z.s.Directories[z.open[k]].Path) >= depth; k-- {
		z.open = z.open[:k]
	}
	if e.Type == fstree.Directory {
		t.Directories++
		if z.depth < 0 || level <= z.depth {
			z.open = append(z.open, len(z.s.Directories))
			z.s.Directories = append(z.s.Directories, Usage{Path: e.Path})
		}
		return
	}
	if e.Links > 1 {
		if z.links[e.Inode] {
			t.HardLinks++
			return
		}
		z.links[e.Inode] = true
	}
	switch {
	case e.Type == fstree.Symlink:
		t.Symlinks++
	case e.IsDevice():
		t.Devices++
	case e.Type != fstree.Regular:
		t.Others++
	default:
		z.file(e)
	}
}

func (z *summarizer) file(e *artifact.Entry) {
	u := Usage{e.Path, 1, e.Size, e.Stored}
	z.s.Totals.Files++
	z.s.Totals.Size += e.Size
	z.s.Totals.Stored += e.Stored
	for _, i := range z.open {
		z.s.Directories[i].add(u)
	}
	if e.Segment < len(z.s.Segments) {
		z.s.Segments[e.Segment].add(u)
	}
	list := z.s.Largest
	i, _ := slices.BinarySearchFunc(list, u, larger)
	if i < largestFiles {
		list = slices.Insert(list, i, u)
		z.s.Largest = list[:min(len(list), largestFiles)]
	}
}

func (u *Usage) add(v Usage) {
	u.Files += v.Files
	u.Size += v.Size
	u.Stored += v.Stored
}

// larger orders by what is stored, the most first.
func larger(a, b Usage) int {
	return cmp.Or(cmp.Compare(b.Stored, a.Stored), cmp.Compare(b.Size, a.Size), cmp.Compare(a.Path, b.Path))
}
