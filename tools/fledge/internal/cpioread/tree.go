package cpioread

import (
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/fstree"
)

// maxFollowed is how many symlinks the kernel follows on a path (MAXSYMLINKS).
const maxFollowed = 40

// maxDepth bounds how deep directories lie in each other.
const maxDepth = 1024

// maxElement is the longest name of a file, in bytes (NAME_MAX).
const maxElement = 255

// maxNotes is how many notes are kept.
const maxNotes = 20

// inode is a file of the tree that the kernel makes of the records.
type inode struct {
	typ          fstree.Type
	mode         uint16
	uid, gid     uint32
	mtime        uint32
	size         int64
	target       string
	major, minor uint32
	content      extent
	links        uint32
	number       uint32 // by the order of the walk, 0 before it
	segment      int
	children     map[string]*inode // of a directory
	parent       *inode            // likewise
	depth        int               // likewise
}

// extent is where the content of a file begins: in its segment, or in the file if the segment is not compressed.
type extent struct {
	segment int
	at      int64
}

// linkKey is what names of one inode have in common.
type linkKey struct{ major, minor, inode, kind uint32 }

func keyOf(rec *record) linkKey {
	return linkKey{rec.DevMajor, rec.DevMinor, rec.Inode, rec.Mode & typeMask}
}

// tree is the root file system that the kernel makes of the records (init/initramfs.c: do_name, do_symlink).
type tree struct {
	root   *inode
	linked map[linkKey]string // path of the first name, since the last trailer
	notes  *notes
}

// notes are the first few, and the count of the others.
type notes struct {
	list []string
	more int
}

func (n *notes) add(format string, args ...any) {
	if len(n.list) == maxNotes {
		n.more++
		return
	}
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func newTree() *tree {
	root := &inode{typ: fstree.Directory, mode: 0o755, children: map[string]*inode{}}
	root.parent = root
	return &tree{root: root, linked: map[linkKey]string{}, notes: new(notes)}
}

func (t *tree) note(rec *record, format string, args ...any) {
	t.notes.add("segment %d: %.200q: %s", rec.segment, rec.Name, fmt.Sprintf(format, args...))
}

var kinds = map[uint32]fstree.Type{
	cpio.TypeFIFO: fstree.FIFO, cpio.TypeChar: fstree.CharDevice, cpio.TypeDir: fstree.Directory,
	cpio.TypeBlock: fstree.BlockDevice, cpio.TypeRegular: fstree.Regular, cpio.TypeSymlink: fstree.Symlink,
	cpio.TypeSocket: fstree.Socket,
}

// add does what the kernel does with a record.
func (t *tree) add(rec *record) {
	if rec.Name == trailer {
		clear(t.linked)
		return
	}
	kind, ok := kinds[rec.Mode&typeMask]
	if !ok || !rec.hasBody() && rec.Size > 0 {
		t.note(rec, "the kernel skips it: mode %o with %d bytes", rec.Mode, rec.Size)
		return
	}
	dir, name := t.place(rec.Name)
	switch {
	case dir == nil:
		t.note(rec, "the kernel drops it, as the directory that it belongs to is missing")
		return
	case name == "" && kind != fstree.Directory:
		t.note(rec, "the kernel drops it, as there is a directory")
		return
	case name == "":
		t.set(dir, rec)
		return
	case len(name) > maxElement:
		t.note(rec, "the kernel drops it, as its name has more than %d bytes", maxElement)
		return
	case dir.depth >= maxDepth:
		t.note(rec, "it is left out, as it is more than %d directories deep", maxDepth)
		return
	}
	switch kind {
	case fstree.Directory:
		t.clean(dir, name, kind)
		n := t.make(dir, name, kind)
		if n.typ != kind {
			return
		}
		t.set(n, rec)
	case fstree.Symlink:
		t.symlink(dir, name, rec)
	case fstree.Regular:
		t.clean(dir, name, kind)
		t.file(dir, name, rec)
	default:
		t.clean(dir, name, kind)
		t.special(dir, name, kind, rec)
	}
}

// place finds the directory of a path and the last name; the name of the root and of what ends in "." or ".." is "".
func (t *tree) place(path string) (dir *inode, name string) {
	followed := 0
	path = strings.TrimRight(path, "/")
	i := strings.LastIndexByte(path, '/') + 1
	name = path[i:]
	if name == "." || name == ".." || name == "" {
		return t.resolve(t.root, path, &followed), ""
	}
	return t.resolve(t.root, path[:i], &followed), name
}

// resolve gives the directory at a path, or nil.
func (t *tree) resolve(from *inode, path string, followed *int) *inode {
	at := from
	if strings.HasPrefix(path, "/") {
		at = t.root
	}
	for name := range strings.SplitSeq(path, "/") {
		switch name {
		case "", ".":
			continue
		case "..":
			at = at.parent
			continue
		}
		next := at.children[name]
		if next != nil && next.typ == fstree.Symlink {
			if *followed++; *followed > maxFollowed {
				return nil
			}
			next = t.resolve(at, next.target, followed)
		}
		if next == nil || next.typ != fstree.Directory {
			return nil
		}
		at = next
	}
	return at
}

// set gives an inode the owner, mode and time of a record.
func (t *tree) set(n *inode, rec *record) {
	n.mode, n.uid, n.gid, n.mtime = uint16(rec.Mode&0o7777), rec.UID, rec.GID, rec.ModTime
	if n.typ != fstree.Regular || n.size == 0 {
		n.segment = rec.segment
	}
}

// clean removes what has the name and another type. Type 0 is another than all.
func (t *tree) clean(dir *inode, name string, kind fstree.Type) {
	n := dir.children[name]
	if n == nil || n.typ == kind || len(n.children) > 0 {
		return
	}
	n.links--
	delete(dir.children, name)
}

// make gives what has the name, or else makes it.
func (t *tree) make(dir *inode, name string, kind fstree.Type) *inode {
	n := dir.children[name]
	if n == nil {
		n = &inode{typ: kind, links: 1}
		if kind == fstree.Directory {
			n.children, n.parent, n.depth = map[string]*inode{}, dir, dir.depth+1
		}
		dir.children[strings.Clone(name)] = n // name is a part of a path, which need not be kept
	}
	return n
}

// stays tells, with a note, whether a directory that is not empty keeps the name.
func (t *tree) stays(dir *inode, name string, rec *record) bool {
	n := dir.children[name]
	if n == nil || n.typ != fstree.Directory {
		return false
	}
	t.note(rec, "the kernel drops it, as a directory that is not empty has the name")
	return true
}

func (t *tree) symlink(dir *inode, name string, rec *record) {
	t.clean(dir, name, 0)
	if t.stays(dir, name, rec) {
		return
	}
	target, _, _ := strings.Cut(rec.target, "\x00")
	if target == "" {
		t.note(rec, "the kernel drops it, a symlink without a target")
		return
	}
	n := t.make(dir, name, fstree.Symlink)
	n.target, n.size = target, int64(len(target))
	t.set(n, rec)
	n.mode = 0o777
}

// link makes the name another one of an inode that is there. known tells that there is one, done that it went well.
func (t *tree) link(dir *inode, name string, rec *record) (known, done bool) {
	if rec.Links < 2 {
		return false, false
	}
	first, ok := t.linked[keyOf(rec)]
	if !ok {
		t.linked[keyOf(rec)] = rec.Name
		return false, false
	}
	firstDir, firstName := t.place(first)
	t.clean(dir, name, 0)
	if t.stays(dir, name, rec) {
		return true, false
	}
	if firstDir == nil || firstDir.children[firstName] == nil {
		t.note(rec, "the kernel drops it, as %.200q, which it is a hard link of, is gone", first)
		return true, false
	}
	n := firstDir.children[firstName]
	if n.typ == fstree.Directory {
		t.note(rec, "the kernel drops it, as %.200q, which it is a hard link of, is a directory now", first)
		return true, false
	}
	n.links++
	dir.children[strings.Clone(name)] = n
	return true, true
}

func (t *tree) file(dir *inode, name string, rec *record) {
	known, done := t.link(dir, name, rec)
	if known && !done || t.stays(dir, name, rec) {
		return
	}
	n := dir.children[name]
	if !known && n != nil && n.links > 1 {
		t.note(rec, "the kernel writes through its hard links: %d names get this content", n.links)
	}
	n = t.make(dir, name, fstree.Regular)
	if n.typ != fstree.Regular {
		t.note(rec, "the kernel links it to %.200q, which is no file any more, and writes its content there", t.linked[keyOf(rec)])
		return
	}
	if !known || rec.Size > 0 {
		n.size, n.content, n.segment = rec.Size, extent{rec.segment, rec.content}, rec.segment
	}
	t.set(n, rec)
}

func (t *tree) special(dir *inode, name string, kind fstree.Type, rec *record) {
	if known, _ := t.link(dir, name, rec); known || t.stays(dir, name, rec) {
		return
	}
	n := dir.children[name]
	switch {
	case n == nil:
		n = t.make(dir, name, kind)
		if kind == fstree.CharDevice || kind == fstree.BlockDevice {
			n.major, n.minor = rec.Major, rec.Minor
		}
	case n.major != rec.Major || n.minor != rec.Minor:
		t.note(rec, "the kernel keeps the device number %d:%d of the earlier one", n.major, n.minor)
	}
	t.set(n, rec)
}
