package fstree

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Entries of the tests. Contents are numbered by hand.
func dir(path string, mode uint16) Entry {
	return Entry{Path: path, Type: Directory, Mode: mode, Content: NoContent}
}

func file(path string, content uint32) Entry {
	return Entry{Path: path, Type: Regular, Mode: 0o644, Content: content}
}

func symlink(path, target string) Entry {
	return Entry{Path: path, Type: Symlink, Mode: 0o777, Link: target, Content: NoContent}
}

func hardlink(path, target string) Entry {
	return Entry{Path: path, Type: HardLink, Link: target, Content: NoContent}
}

func whiteout(path string) Entry { return file(path, 0) }

func seq(entries []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func merge(layers ...[]Entry) (*Tree, error) {
	m := NewMerger()
	for i, l := range layers {
		if err := m.AddLayer(fmt.Sprintf("L%d", i), seq(l)); err != nil {
			return nil, err
		}
	}
	return m.Tree()
}

// list renders a tree, one line a name: path, type letter, mode, layer.content or what else tells the node, link count
// when it is not a matter of course.
func list(t *Tree) []string {
	var lines []string
	var visit func(path string, n *Node)
	visit = func(path string, n *Node) {
		line := fmt.Sprintf("%s %c%04o", path, "?fdlhcbps"[n.Type], n.Mode)
		switch n.Type {
		case Regular:
			line += fmt.Sprintf(" %d.%d", n.Layer, n.Content)
		case Symlink:
			line += " " + n.Link()
		case CharDevice, BlockDevice:
			major, minor := n.Device()
			line += fmt.Sprintf(" %d:%d", major, minor)
		}
		if n.Type != Directory && n.Links != 1 {
			line += fmt.Sprintf(" links %d", n.Links)
		}
		lines = append(lines, line)
		for _, d := range n.Children() {
			visit(strings.TrimPrefix(path+"/"+d.Name, "./"), d.Node)
		}
	}
	visit(".", t.Root)
	return lines[1:]
}

// mergeCases are layers and the tree that they make, as list renders it.
var mergeCases = []struct {
	name   string
	layers [][]Entry
	want   []string
}{
	{"order is bytewise", [][]Entry{{file("b", 0), file("a\xff", 1), file("a", 2), file("B", 3), file("a-", 4)}},
		[]string{"B f0644 0.3", "a f0644 0.2", "a- f0644 0.4", "a\xff f0644 0.1", "b f0644 0.0"}},
	{"missing parents", [][]Entry{{file("a/b/c", 0)}}, []string{"a d0755", "a/b d0755", "a/b/c f0644 0.0"}},
	{"directory over directory", [][]Entry{{dir("a", 0o700), file("a/x", 0)}, {dir("a", 0o711)}},
		[]string{"a d0711", "a/x f0644 0.0"}},
	{"file over file", [][]Entry{{file("a", 7)}, {file("a", 3)}}, []string{"a f0644 1.3"}},
	{"file over directory", [][]Entry{{file("a/x/y", 0)}, {file("a", 1)}}, []string{"a f0644 1.1"}},
	{"directory over file", [][]Entry{{file("a", 0)}, {file("b", 1), dir("a", 0o755), file("a/x", 2)}},
		[]string{"a d0755", "a/x f0644 1.2", "b f0644 1.1"}},
	{"directory over symlink", [][]Entry{{dir("b", 0o755), symlink("a", "b")}, {dir("a", 0o700), file("a/x", 0)}},
		[]string{"a d0700", "a/x f0644 1.0", "b d0755"}},
	{"whiteout",
		[][]Entry{{file("a/x", 0), file("a/y/z", 1), file("a/w", 2)}, {whiteout("a/.wh.y"), whiteout("a/.wh.w")}},
		[]string{"a d0755", "a/x f0644 0.0"}},
	{"whiteout of nothing", [][]Entry{{file("a", 0), file("d/e", 0)},
		{whiteout(".wh.b"), whiteout("c/.wh.b"), whiteout("a/.wh.b"), whiteout("a/b/.wh.b"), whiteout("d/.wh.c")}},
		[]string{"a f0644 0.0", "d d0755", "d/e f0644 0.0"}},
	{"whiteout spares its own layer",
		[][]Entry{{file("a", 0), file("b", 1)}, {file("a", 2), whiteout(".wh.a"), whiteout(".wh.b"), file("b", 3)}},
		[]string{"a f0644 1.2", "b f0644 1.3"}},
	{"whiteout after a new child",
		[][]Entry{{dir("a", 0o700), file("a/old", 0), file("a/s/old", 0)}, {file("a/s/new", 1), whiteout(".wh.a")}},
		[]string{"a d0755", "a/s d0755", "a/s/new f0644 1.1"}},
	{"whiteout before a new child",
		[][]Entry{{dir("a", 0o700), file("a/old", 0)}, {whiteout(".wh.a"), file("a/s/new", 1)}},
		[]string{"a d0755", "a/s d0755", "a/s/new f0644 1.1"}},
	{"whiteout of a directory with an entry",
		[][]Entry{{dir("a", 0o700), file("a/old", 0)}, {dir("a", 0o711), whiteout(".wh.a")}},
		[]string{"a d0711"}},
	{"whiteout in a later layer hides",
		[][]Entry{{file("x", 0)}, {file("a", 0)}, {whiteout(".wh.a")}},
		[]string{"x f0644 0.0"}},
	{"opaque first",
		[][]Entry{{file("a/x", 0), file("a/y/z", 1)}, {dir("a", 0o711), whiteout("a/.wh..wh..opq"), file("a/y/n", 2)}},
		[]string{"a d0711", "a/y d0755", "a/y/n f0644 1.2"}},
	{"opaque last",
		[][]Entry{{file("a/x", 0), dir("a/y", 0o700), file("a/y/z", 1)}, {file("a/y/n", 2), whiteout("a/.wh..wh..opq")}},
		[]string{"a d0755", "a/y d0755", "a/y/n f0644 1.2"}},
	{"opaque keeps the directory's metadata",
		[][]Entry{{dir("a", 0o700), file("a/x", 0)}, {whiteout("a/.wh..wh..opq")}},
		[]string{"a d0700"}},
	{"opaque root",
		[][]Entry{{file("a", 0), file("b/c", 0)}, {whiteout(".wh..wh..opq"), file("d", 1)}},
		[]string{"d f0644 1.1"}},
	{"whiteout below a symlink",
		[][]Entry{{file("r/x", 0), file("r/y", 0), symlink("v", "/r")}, {whiteout("v/.wh.x")}},
		[]string{"r d0755", "r/y f0644 0.0", "v l0777 /r"}},
	{"aufs bookkeeping",
		[][]Entry{{file("a", 0), whiteout(".wh..wh.aufs"), dir(".wh..wh.plnk", 0o700), file(".wh..wh.plnk/1.2", 3)}},
		[]string{"a f0644 0.0"}},
	{"hard links",
		[][]Entry{{file("a", 0), hardlink("b", "a"), hardlink("d/c", "b"), symlink("s", "a"), hardlink("t", "s")}},
		[]string{"a f0644 0.0 links 3", "b f0644 0.0 links 3", "d d0755", "d/c f0644 0.0 links 3",
			"s l0777 a links 2", "t l0777 a links 2"}},
	{"hard link across layers",
		[][]Entry{{file("a", 5)}, {hardlink("b", "a")}},
		[]string{"a f0644 0.5 links 2", "b f0644 0.5 links 2"}},
	{"hard link outlives its target",
		[][]Entry{{file("a", 5)}, {hardlink("b", "a"), whiteout(".wh.a")}},
		[]string{"b f0644 0.5"}},
	{"whiteout spares a hard link of its layer",
		[][]Entry{{file("a", 5), file("b", 6)}, {hardlink("b", "a"), whiteout(".wh.b"), whiteout(".wh.a")}},
		[]string{"b f0644 0.5"}},
	{"replaced name of a hard link",
		[][]Entry{{file("a", 5), hardlink("b", "a")}, {file("a", 6)}},
		[]string{"a f0644 1.6", "b f0644 0.5"}},
	{"hard link through a symlink", [][]Entry{{file("r/x", 1), symlink("v", "r"), hardlink("y", "v/x")}},
		[]string{"r d0755", "r/x f0644 0.1 links 2", "v l0777 r", "y f0644 0.1 links 2"}},
	{"below a symlink",
		[][]Entry{
			{dir("run", 0o755), symlink("var/run", "/run"), symlink("var/r2", "../../../run/./")},
			{file("var/run/a", 0), file("var/r2/b", 1)},
		},
		[]string{"run d0755", "run/a f0644 1.0", "run/b f0644 1.1", "var d0755",
			"var/r2 l0777 ../../../run/./", "var/run l0777 /run"}},
	{"below a dangling symlink",
		[][]Entry{{symlink("a", "b/c"), symlink("e", "nothing/../f")}, {file("a/x", 0), file("e/y", 1)}},
		[]string{"a l0777 b/c", "b d0755", "b/c d0755", "b/c/x f0644 1.0",
			"e l0777 nothing/../f", "f d0755", "f/y f0644 1.1"}},
	{"forgotten parent", [][]Entry{{file("a/x", 0), file("b/z", 0), symlink("a", "b"), file("a/y", 1)}},
		[]string{"a l0777 b", "b d0755", "b/y f0644 0.1", "b/z f0644 0.0"}},
	{"symlink mode",
		[][]Entry{{{Path: "a", Type: Symlink, Mode: 0o644, Link: "x", Content: NoContent}}},
		[]string{"a l0777 x"}},
	{"special files", [][]Entry{{
		{Path: "c", Type: CharDevice, Mode: 0o666, Major: 1, Minor: 300, Content: NoContent},
		{Path: "b", Type: BlockDevice, Mode: 0o660, Major: 4095, Minor: 1 << 19, Content: NoContent},
		{Path: "f", Type: FIFO, Mode: 0o600, Content: NoContent},
		{Path: "s", Type: Socket, Mode: 0o755, Content: NoContent}}},
		[]string{"b b0660 4095:524288", "c c0666 1:300", "f p0600", "s s0755"}},
}

func TestMerge(t *testing.T) {
	for _, tc := range mergeCases {
		t.Run(tc.name, func(t *testing.T) {
			tree, err := merge(tc.layers...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, list(tree)); diff != "" {
				t.Error("(-want +got)\n" + diff)
			}
		})
	}
}

// loop are symlinks that lead to each other.
var loop = []Entry{symlink("a", "b"), symlink("b", "a")}

// deep is a path of 1,500 names.
var deep = strings.TrimSuffix(strings.Repeat("a/", 1500), "/")

// mergeErrorCases are layers that make no tree, and why.
var mergeErrorCases = []struct {
	name   string
	layers [][]Entry
	want   string
}{
	{"below a file", [][]Entry{{file("a", 0)}, {file("a/b", 0)}}, `layer L1: entry "a/b": "a" is not a directory`},
	{"far below a file",
		[][]Entry{{file("a", 0), file("a/b/c", 0)}},
		`layer L0: entry "a/b/c": "a" is not a directory`},
	{"below a symlink to a file",
		[][]Entry{{file("a", 0), symlink("s", "a"), file("s/b", 0)}},
		`layer L0: entry "s/b": "a" is not a directory`},
	{"hard link to nothing",
		[][]Entry{{hardlink("b", "x/a")}},
		`layer L0: entry "b": hard link to "x/a", which is not in the image at that point`},
	{"hard link to itself",
		[][]Entry{{file("a", 0)}, {hardlink("a", "a")}},
		`layer L1: entry "a": hard link to "a", which is not in the image at that point`},
	{"hard link forward",
		[][]Entry{{hardlink("b", "a"), file("a", 0)}},
		`layer L0: entry "b": hard link to "a", which is not in the image at that point`},
	{"hard link to a whited out file",
		[][]Entry{{file("a", 0)}, {whiteout(".wh.a"), hardlink("b", "a")}},
		`layer L1: entry "b": hard link to "a", which is not in the image at that point`},
	{"hard link to a directory",
		[][]Entry{{dir("a", 0), hardlink("b", "a")}},
		`layer L0: entry "b": hard link to the directory "a"`},
	{"hard link to the root",
		[][]Entry{{hardlink("b", ".")}},
		`layer L0: entry "b": hard link to the root directory`},
	{"hard link below a file",
		[][]Entry{{file("a", 0), hardlink("b", "a/c")}},
		`layer L0: entry "b": hard link to "a/c", which is not in the image at that point`},
	{"loop",
		[][]Entry{loop, {file("a/x", 0)}},
		`layer L1: entry "a/x": too many symbolic links on the way (a loop?)`},
	{"loop in a hard link",
		[][]Entry{loop, {hardlink("x", "a/x")}},
		`layer L1: entry "x": hard link to "a/x": too many symbolic links on the way (a loop?)`},
	{"whiteout in a symlink",
		[][]Entry{{symlink("a", ".wh.b"), file("a/x", 0)}},
		`layer L0: entry "a/x": a symlink on the way leads to ".wh.b", which cannot be the name of a directory`},
	{"root is no directory", [][]Entry{{file(".", 0)}}, `layer L0: entry ".": the root must be a directory`},
	{"empty whiteout",
		[][]Entry{{file("a/x", 0)}, {whiteout("a/.wh.")}},
		`layer L1: entry "a/.wh.": a whiteout of the name ""`},
	{"whiteout of the parent",
		[][]Entry{{file("a/x", 0)}, {whiteout("a/.wh...")}},
		`layer L1: entry "a/.wh...": a whiteout of the name ".."`},
	{"below a whiteout",
		[][]Entry{{file("a/.wh.x/y", 0)}},
		`layer L0: entry "a/.wh.x/y": it is below the whiteout ".wh.x", which cannot have entries`},
	{"too deep",
		[][]Entry{{dir(deep, 0), symlink("l", deep)}, {file("l/"+deep, 0)}},
		`layer L1: entry "l/` + deep + `": more than 2048 directories above one another`},
	{"nothing", nil, "the image is empty: its layers leave no file or directory"},
	{"nothing but a root", [][]Entry{{dir(".", 0o755)}}, "the image is empty: its layers leave no file or directory"},
	{"nothing left",
		[][]Entry{{file("a", 0)}, {whiteout(".wh.a")}}, "the image is empty: its layers leave no file or directory"},
}

func TestMergeErrors(t *testing.T) {
	for _, tc := range mergeErrorCases {
		t.Run(tc.name, func(t *testing.T) {
			tree, err := merge(tc.layers...)
			if err == nil {
				t.Fatalf("no error, but %q", list(tree))
			}
			if err.Error() != tc.want {
				t.Errorf("error %q, want %q", err, tc.want)
			}
		})
	}
}

func TestErrorOfALayer(t *testing.T) {
	broken := errors.New("cut off")
	err := NewMerger().AddLayer("sha256:abc", func(yield func(Entry, error) bool) { yield(Entry{}, broken) })
	if !errors.Is(err, broken) || err.Error() != "layer sha256:abc: cut off" {
		t.Errorf("error %v", err)
	}
}

func TestMetadata(t *testing.T) {
	caps := []Xattr{{"security.capability", []byte{1, 0, 0, 2}}}
	tree, err := merge(
		[]Entry{
			{Path: ".", Type: Directory, Mode: 0o1777, UID: 1, GID: 2, ModTime: -5, Content: NoContent, Xattrs: caps},
			{Path: "d", Type: Directory, Mode: 0o700, UID: 3, ModTime: 9, Content: NoContent, Xattrs: caps},
			{
				Path: "d/f", Type: Regular, Mode: 0o104755, UID: 4294967294, GID: 4294967295, ModTime: 1 << 33,
				Content: 8, Xattrs: caps,
			},
			{Path: "p/q", Type: Regular, Mode: 0, Content: 1},
		},
		[]Entry{{Path: "d", Type: Directory, Mode: 0o2755, GID: 5, ModTime: 10, Content: NoContent}},
	)
	if err != nil {
		t.Fatal(err)
	}
	at := func(path string) Node {
		n, _, err := tree.Lookup(path)
		if err != nil {
			t.Fatal(err)
		}
		return *n
	}
	root, d, f, p := at("."), at("d"), at("d/f"), at("p")
	if root.Mode != 0o1777 || root.UID != 1 || root.GID != 2 || root.ModTime != -5 ||
		len(root.Xattrs()) != 1 || root.Links != 4 {
		t.Errorf("root %+v", root)
	}
	if d.Mode != 0o2755 || d.UID != 0 || d.GID != 5 || d.ModTime != 10 ||
		d.Xattrs() != nil || d.Layer != 1 || d.Links != 2 {
		t.Errorf("directory %+v: not the last layer's metadata", d)
	}
	if f.Mode != 0o4755 || f.UID != 4294967294 || f.GID != 4294967295 || f.ModTime != 1<<33 ||
		!cmp.Equal(f.Xattrs(), caps) {
		t.Errorf("file %+v", f)
	}
	if p.Mode != 0o755 || p.ModTime != 0 || p.UID != 0 {
		t.Errorf("implied directory %+v", p)
	}
	if tree.Inodes != 5 || tree.Names != 4 {
		t.Errorf("%d inodes, %d names", tree.Inodes, tree.Names)
	}
}

func TestLookup(t *testing.T) {
	tree, err := merge([]Entry{
		file("bin/sh", 1), symlink("usr/bin", "../bin"), symlink("abs", "/usr/bin/sh"), symlink("out", "../../../bin"),
		symlink("gone", "nothing/there"), symlink("l", "l"), dir("usr/d", 0o755),
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/": ".", "": ".", ".": ".", "../..": ".",
		"bin/sh": "bin/sh", "/usr/bin/sh": "bin/sh", "abs": "bin/sh", "out/sh": "bin/sh",
		"usr/bin/../usr/d": "usr/d", "usr//bin/": "bin",
	} {
		n, got, err := tree.Lookup(path)
		if err != nil || got != want || n == nil {
			t.Errorf("Lookup(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
	for path, want := range map[string]string{
		"gone":     `"gone": file does not exist: "." has no "nothing"`,
		"bin/sh/x": `"bin/sh/x": "bin/sh" is not a directory`,
		"l":        `"l": too many symbolic links on the way (a loop?)`,
	} {
		if _, _, err := tree.Lookup(path); err == nil || err.Error() != want {
			t.Errorf("Lookup(%q): %v, want %q", path, err, want)
		}
	}
	if _, _, err := tree.Lookup("bin/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Lookup of nothing: %v", err)
	}
}

// A large directory in random order, thinned out again, stays sorted and complete.
func TestLargeDirectory(t *testing.T) {
	const n = 5000
	r := rand.New(rand.NewSource(1))
	var first, second []Entry
	var want []string
	for _, i := range r.Perm(n) {
		first = append(first, file(fmt.Sprintf("d/%04d", i), uint32(i)))
	}
	for _, i := range r.Perm(n) {
		switch i % 3 {
		case 0:
			second = append(second, whiteout(fmt.Sprintf("d/.wh.%04d", i)))
		case 1:
			second = append(second, file(fmt.Sprintf("d/%04d", i), uint32(n+i)))
		}
	}
	for i := range n {
		switch i % 3 {
		case 1:
			want = append(want, fmt.Sprintf("d/%04d f0644 1.%d", i, n+i))
		case 2:
			want = append(want, fmt.Sprintf("d/%04d f0644 0.%d", i, i))
		}
	}
	tree, err := merge(first, second)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(tree)[1:]; !slices.Equal(got, want) {
		t.Error("the directory's entries differ: " + cmp.Diff(want, got))
	}
}

// FuzzMerge applies layers of arbitrary entries: no panic, and whatever comes out is a proper tree.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("\x01\x00a/b\x00\x02\x00a\x00\xff\x01\x00.wh.a\x00\x03\x00s\x00../a\x00\x04\x00h\x00s/b\x00"))
	f.Add([]byte("\x01\x00x/y\x00\xff\x02\x00x\x00\x01\x00x/.wh..wh..opq\x00\x04\x00z\x00x/y\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := NewMerger()
		for i, layer := range strings.Split(string(data), "\xff") {
			if err := m.AddLayer(fmt.Sprint(i), seq(fuzzEntries(layer))); err != nil {
				return
			}
		}
		tree, err := m.Tree()
		if err != nil {
			return
		}
		checkTree(t, tree)
	})
}

// fuzzEntries reads entries: a type, a mode, path and (of links) target, each ended by a NUL. Bad ones are skipped, as
// the reader of a pack would refuse them.
func fuzzEntries(s string) (entries []Entry) {
	for len(s) > 2 {
		e := Entry{Type: Type(s[0]%8) + 1, Mode: uint16(s[1]), Content: NoContent}
		e.Path, s, _ = strings.Cut(s[2:], "\x00")
		if e.Type == Symlink || e.Type == HardLink {
			e.Link, s, _ = strings.Cut(s, "\x00")
		}
		if e.Type == Regular {
			e.Content = 0
		}
		clean := fs.ValidPath(e.Path) && (e.Type != HardLink || fs.ValidPath(e.Link))
		if clean && (e.Type != Symlink || e.Link != "") {
			entries = append(entries, e)
		}
	}
	return entries
}

func checkTree(t *testing.T, tree *Tree) {
	names, links := 0, map[*Node]uint32{}
	var visit func(n *Node)
	visit = func(n *Node) {
		dirs := uint32(0)
		for i, d := range n.Children() {
			names++
			if i > 0 && n.Children()[i-1].Name >= d.Name {
				t.Errorf("%q after %q", d.Name, n.Children()[i-1].Name)
			}
			if d.Name == "" || d.Name == "." || d.Name == ".." || strings.HasPrefix(d.Name, ".wh.") {
				t.Errorf("a name %q", d.Name)
			}
			if links[d.Node]++; d.Node.Type == Directory {
				dirs++
				if links[d.Node] > 1 {
					t.Fatalf("directory %q in two places", d.Name)
				}
				visit(d.Node)
			}
		}
		if n.Links != 2+dirs {
			t.Errorf("a directory with %d links, want %d", n.Links, 2+dirs)
		}
	}
	visit(tree.Root)
	for n, count := range links {
		if n.Type != Directory && n.Links != count {
			t.Errorf("a node with %d links, want %d", n.Links, count)
		}
	}
	if names != tree.Names || len(links)+1 != tree.Inodes {
		t.Errorf("%d names and %d inodes, want %d and %d", tree.Names, tree.Inodes, names, len(links)+1)
	}
}
