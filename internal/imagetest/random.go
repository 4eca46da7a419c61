package imagetest

import (
	"archive/tar"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// RandomOptions bound what Random makes, to what a file system can hold.
type RandomOptions struct {
	Entries          int   // of a layer, about
	LargeDir         int   // most entries of the one large directory, which is not counted among Entries
	BlockSize        int   // of the packs: sizes of files lie around multiples of it too
	XattrBytes       int   // most bytes of one file's extended attributes, 16 bytes for each included
	MinTime, MaxTime int64 // seconds since 1970
}

// Random makes layers of random files of all types, which depend on the seed and the options alone, and tells what
// Describe has to say about their merged tree.
func Random(t testing.TB, seed uint64, o RandomOptions) (layers [][]byte, want []string) {
	t.Helper()
	r := &random{Rand: rand.New(rand.NewPCG(seed, 0)), o: o}
	r.root = &randomNode{File: File{Header: r.header("./", tar.TypeDir)}, children: map[string]*randomNode{}}
	for i := range 1 + r.IntN(3) {
		r.layer = []File{r.root.File}
		if i > 0 {
			r.hide()
		}
		r.fill()
		layers = append(layers, Tar(t, r.layer...))
	}
	r.describe(".", r.root, &want, map[*randomNode]string{}, r.countLinks(r.root, map[*randomNode]int{}))
	return layers, want
}

// Seeds calls run for count seeds from first on. A count of 0 is 2, with FLEDGE_E2E=1 30.
func Seeds(t *testing.T, first, count uint64, run func(t *testing.T, seed uint64)) {
	if count == 0 {
		count = 2
		if os.Getenv("FLEDGE_E2E") == "1" {
			count = 30
		}
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { run(t, seed) })
	}
}

// random is a tree that grows, and the layer that makes it grow.
type random struct {
	*rand.Rand
	o     RandomOptions
	root  *randomNode
	layer []File
	old   []string // data of files so far
}

// randomNode is a file of the merged tree. Hard links share it.
type randomNode struct {
	File
	children map[string]*randomNode // of a directory
}

// place is a name in a directory.
type place struct {
	dir  *randomNode
	path string // of dir, with a slash at its end; "" for the root
	name string
}

// places lists all names, sorted.
func (r *random) places() (list []place) {
	var walk func(dir *randomNode, path string)
	walk = func(dir *randomNode, path string) {
		for _, name := range slices.Sorted(maps.Keys(dir.children)) {
			list = append(list, place{dir, path, name})
			if c := dir.children[name]; c.children != nil {
				walk(c, path+name+"/")
			}
		}
	}
	walk(r.root, "")
	return list
}

// hide has the layer hide some of what is there.
func (r *random) hide() {
	for range r.IntN(r.o.Entries/5 + 1) {
		list := r.places()
		if len(list) == 0 {
			return
		}
		p := list[r.IntN(len(list))]
		if c := p.dir.children[p.name]; c.children != nil && r.IntN(3) == 0 {
			clear(c.children)
			r.layer = append(r.layer, fileEntry(p.path+p.name+"/.wh..wh..opq", 0, ""))
			continue
		}
		delete(p.dir.children, p.name)
		r.layer = append(r.layer, fileEntry(p.path+".wh."+p.name, 0, ""))
	}
}

// fill has the layer add, replace and link.
func (r *random) fill() {
	dirs := []place{{r.root, "", ""}}
	for _, p := range r.places() {
		if c := p.dir.children[p.name]; c.children != nil && strings.Count(p.path, "/") < 5 {
			dirs = append(dirs, place{c, p.path + p.name + "/", ""})
		}
	}
	for range r.o.Entries {
		p := dirs[r.IntN(len(dirs))]
		p.name = r.name()
		p = r.put(p)
		if c := p.dir.children[p.name]; c.children != nil && len(c.children) == 0 {
			dirs = append(dirs, place{c, p.path + p.name + "/", ""})
		}
	}
	if r.o.LargeDir == 0 || r.root.children["large"] != nil {
		return
	}
	c := r.add(place{r.root, "", "large"}, File{Header: r.header("", tar.TypeDir)})
	length := 1 + r.IntN(240)
	for i := range 1 + r.IntN(r.o.LargeDir) {
		f := File{Header: header("", tar.TypeReg, 0o644)}
		if r.IntN(50) == 0 {
			f = r.file()
		}
		r.add(place{c, "large/", fmt.Sprintf("%s%x", strings.Repeat("l", r.IntN(length)), i)}, f)
	}
}

// put adds something new at p, a directory that is there gets new metadata, or a hard link; sometimes it replaces a
// file elsewhere. It tells where.
func (r *random) put(p place) place {
	if r.IntN(8) == 0 && p.dir.children[p.name] == nil {
		if to, c := r.anyFile(); c != nil {
			p.dir.children[p.name] = c
			r.layer = append(r.layer, linkEntry(p.path+p.name, tar.TypeLink, to.path+to.name))
			return p
		}
	}
	if r.IntN(10) == 0 {
		if old, c := r.anyFile(); c != nil {
			p = old
		}
	}
	f := r.file()
	if c := p.dir.children[p.name]; c != nil && c.children != nil {
		f = File{Header: r.header("", tar.TypeDir)}
	}
	r.add(p, f)
	return p
}

// anyFile is something that is there, nil if that is a directory.
func (r *random) anyFile() (place, *randomNode) {
	list := r.places()
	if len(list) == 0 {
		return place{}, nil
	}
	p := pick(r, list)
	if c := p.dir.children[p.name]; c.children == nil {
		return p, c
	}
	return p, nil
}

// add puts f at p, into tree and layer.
func (r *random) add(p place, f File) *randomNode {
	f.Name = p.path + p.name
	c := &randomNode{File: f}
	if f.Typeflag == tar.TypeDir {
		f.Name += "/"
		c.children = map[string]*randomNode{}
		if old := p.dir.children[p.name]; old != nil && old.children != nil {
			c.children = old.children
			old.File = f // those who hold it go on
			c = old
		}
	}
	p.dir.children[p.name] = c
	r.layer = append(r.layer, f)
	return c
}

var randomModes = []int64{0, 0o644, 0o755, 0o4755, 0o2755, 0o1777, 0o7777, 0o6111, 0o400}

func (r *random) header(name string, kind byte) tar.Header {
	h := header(name, kind, pick(r, randomModes))
	ids := []int{0, 1, 1000, 65534, 65535, 65536, 1<<31 - 1, 1 << 31, 1<<32 - 2}
	h.Uid, h.Gid = pick(r, ids), pick(r, ids)
	times := []int64{r.o.MinTime, -1, 0, 1, 1700000000, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, r.o.MaxTime}
	h.ModTime = time.Unix(min(max(pick(r, times), r.o.MinTime), r.o.MaxTime), 0)
	if kind == tar.TypeSymlink {
		h.Mode = 0o777
	}
	r.xattrs(&h)
	return h
}

func pick[T any](r *random, list []T) T { return list[r.IntN(len(list))] }

// xattrs gives a file attributes, of sizes around those of what is left in an inode and in a block.
func (r *random) xattrs(h *tar.Header) {
	if r.IntN(3) > 0 {
		return
	}
	spaces := []string{"trusted.", "security."}
	if h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeDir {
		spaces = append(spaces, "user.") // of others the kernel does not show them
	}
	h.PAXRecords = map[string]string{}
	left := r.o.XattrBytes
	for range 1 + r.IntN(6) {
		name := pick(r, spaces) + strings.Repeat("a", r.IntN(40)) + string(rune('a'+r.IntN(26)))
		size := min(pick(r, []int{0, 1, 3, 4, 8, 12, 40, 60, 68, 71, 72, 73, 76, 200, 1000, 2000, 1 << 20}), 64<<10-1)
		size = min(size, left-16-len(name)-6)
		if _, ok := h.PAXRecords["SCHILY.xattr."+name]; size < 0 || ok {
			continue
		}
		left -= 16 + len(name) + size + 6 // with what aligns both
		h.PAXRecords["SCHILY.xattr."+name] = Noise(r.IntN(4), size)
	}
}

// name is a new name of any bytes that can be in one.
func (r *random) name() string {
	length := pick(r, []int{1, 2, 5, 8, 12, 40, 100, 254, 255})
	b := make([]byte, length)
	for i := range b {
		switch b[i] = byte(1 + r.IntN(255)); {
		case b[i] == '/' || length > 100 && i > 2:
			b[i] = 'n'
		case i == 0 && b[i] == '.':
			b[i] = '+'
		}
	}
	return string(b)
}

// file is a file of any type, without its name.
func (r *random) file() File {
	kinds := []byte{tar.TypeReg, tar.TypeReg, tar.TypeReg, tar.TypeReg, tar.TypeReg, tar.TypeDir, tar.TypeDir,
		tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo}
	f := File{Header: r.header("", pick(r, kinds))}
	switch f.Typeflag {
	case tar.TypeReg:
		f.Data = r.data()
	case tar.TypeSymlink:
		f.Linkname = strings.Repeat("t", pick(r, []int{1, 2, 58, 59, 60, 61, 100, 255, 1000, 3966, 3967, 3968, 4000, 4094, 4095}))
	case tar.TypeChar, tar.TypeBlock:
		f.Devmajor, f.Devminor = int64(pick(r, []int{0, 1, 255, 256, 4095})), int64(pick(r, []int{0, 1, 255, 256, 1<<20 - 1}))
	}
	return f
}

// data is the content of a file: of a size at a border, of pieces that compress, do not, or are zeros; or that of
// another file.
func (r *random) data() string {
	if len(r.old) > 0 && r.IntN(6) == 0 {
		return pick(r, r.old)
	}
	block := r.o.BlockSize
	size := pick(r, []int{0, 1, 60, 3968, 4096, 8192, 12 * 4096, 65536, 100_000, block, 2 * block, 3 * block})
	size = max(size+pick(r, []int{-1, 0, 0, 1, 100}), 0)
	var b strings.Builder
	for b.Len() < size {
		n := min(pick(r, []int{1, 4096, 4096, block, 3 * 4096, 50_000}), size-b.Len())
		switch r.IntN(3) {
		case 0:
			b.WriteString(strings.Repeat("\x00", n))
		case 1:
			b.WriteString(Text(r.IntN(1000), n))
		default:
			b.WriteString(Noise(r.IntN(1000), n))
		}
	}
	r.old = append(r.old, b.String())
	return b.String()
}
