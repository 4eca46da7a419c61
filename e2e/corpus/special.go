package corpus

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/fledge-build/fledge/e2e/layers"
)

const (
	xattrPrefix = "SCHILY.xattr."
	specials    = "srv/special/"
	nobody      = 65534
	maxID       = math.MaxUint32 - 1 // 2^32-1 means "no change" to chown
)

// epoch is the time of entries whose own time is not the point.
var epoch = time.Unix(1700000000, 0)

// capNetRaw is cap_net_raw=ep as the kernel keeps it (linux/capability.h, struct vfs_cap_data, revision 2).
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// adder adds entries below specials until one fails.
type adder struct {
	w   *layers.Writer
	err error
}

func (a *adder) add(h tar.Header, data string) {
	if a.err != nil {
		return
	}
	h.Name = specials + h.Name
	if h.ModTime.IsZero() {
		h.ModTime = epoch
	}
	if h.Typeflag == 0 {
		h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
	}
	if h.Typeflag == tar.TypeLink {
		h.Linkname = specials + h.Linkname
	}
	a.err = a.w.Add(&h, strings.NewReader(data))
}

func (a *adder) file(name, data string) { a.add(tar.Header{Name: name, Mode: 0o644}, data) }
func (a *adder) dir(name string) {
	a.add(tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
}
func (a *adder) link(name, target string) {
	a.add(tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}, "")
}
func (a *adder) symlink(name, target string) {
	a.add(tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, "")
}

func (a *adder) sparse(name string, size int64, segments ...layers.Segment) {
	if a.err != nil {
		return
	}
	h := tar.Header{Name: specials + name, Mode: 0o644, Size: size, ModTime: epoch}
	a.err = a.w.AddSparse(&h, segments)
}

// systemSpecials ends the system layer.
func systemSpecials(w *layers.Writer) error {
	a := &adder{w: w}
	a.add(tar.Header{Name: "", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	addModes(a)
	addTimes(a)
	addNodes(a)
	addLinks(a)
	addXattrs(a)
	addSparse(a)
	addNames(a)
	addSizes(a)
	for i := range 6 {
		dir := fmt.Sprintf("hidden%d", i)
		a.dir(dir)
		a.file(dir+"/old", "an upper layer hides this: "+dir)
	}
	return a.err
}

func addModes(a *adder) {
	a.dir("modes")
	for _, mode := range []int64{0, 0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o6711, 0o7777, 0o1644} {
		a.add(tar.Header{Name: fmt.Sprintf("modes/file%04o", mode), Mode: mode}, fmt.Sprintf("mode %04o\n", mode))
	}
	for _, mode := range []int64{0, 0o700, 0o1777, 0o2775} {
		a.add(tar.Header{Name: fmt.Sprintf("modes/dir%04o/", mode), Typeflag: tar.TypeDir, Mode: mode}, "")
	}
	for i, id := range []int{0, 1, 1000, nobody, 65535, 65536, 1 << 31, maxID} {
		a.add(tar.Header{Name: fmt.Sprintf("modes/owner%d", id), Mode: 0o640, Uid: id, Gid: maxID - i}, "owned\n")
	}
}

func addTimes(a *adder) {
	a.dir("times")
	for _, seconds := range []int64{0, 1, 1 << 30, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
		name := fmt.Sprintf("times/%d", seconds)
		a.add(tar.Header{Name: name, Mode: 0o644, ModTime: time.Unix(seconds, 0)}, "")
	}
	a.add(tar.Header{Name: "times/fraction", Mode: 0o644, ModTime: time.Unix(1234567890, 987654321)}, "")
	a.add(tar.Header{Name: "times/old/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(86400, 0)}, "")
	a.file("times/old/child", "adding this must not touch the folder's time\n")
}

func addNodes(a *adder) {
	a.dir("nodes")
	for _, n := range []struct {
		name         string
		typeflag     byte
		major, minor int64
	}{
		{"null", tar.TypeChar, 1, 3},
		{"disk", tar.TypeBlock, 8, 17},
		{"wide-minor", tar.TypeBlock, 259, 300},
		{"largest", tar.TypeChar, 4095, 1048575},
		{"fifo", tar.TypeFifo, 0, 0},
	} {
		a.add(tar.Header{Name: "nodes/" + n.name, Typeflag: n.typeflag, Mode: 0o620, Gid: 5, Devmajor: n.major, Devminor: n.minor}, "")
	}
}

func addLinks(a *adder) {
	a.dir("links")
	a.file("links/first", "three names\n")
	a.dir("links/below")
	a.link("links/second", "links/first")
	a.link("links/below/third", "links/second")
	a.link("links/fifo", "nodes/fifo")
	a.link("links/device", "nodes/null")
	a.symlink("links/absolute", "/etc/debian_version")
	a.symlink("links/relative", "../modes/file0644")
	a.symlink("links/dangling", "/no/such/file")
	a.symlink("links/climbing", "../../../../../../../../etc/passwd")
	a.symlink("links/itself", "itself")
	a.symlink("links/long", strings.Repeat("long/", 800))
	a.link("links/symlink", "links/dangling")
	a.file("links/lower", "linked to from upper layers\n")
}

func addXattrs(a *adder) {
	a.dir("xattrs")
	set := func(name string, typeflag byte, records map[string]string) {
		h := tar.Header{Name: name, Typeflag: typeflag, Mode: 0o755, PAXRecords: map[string]string{}}
		for key, value := range records {
			h.PAXRecords[xattrPrefix+key] = value
		}
		a.add(h, "")
	}
	set("xattrs/capability", 0, map[string]string{"security.capability": capNetRaw})
	set("xattrs/user", 0, map[string]string{"user.note": "a note", "user.binary": "\x01\xfe\xff\n"})
	set("xattrs/same", 0, map[string]string{"user.note": "a note", "user.binary": "\x01\xfe\xff\n"})
	set("xattrs/trusted", 0, map[string]string{"trusted.note": "for root", "user.note": "for all"})
	set("xattrs/large", 0, map[string]string{"user.large": strings.Repeat("0123456789", 300)})
	set("xattrs/large2", 0, map[string]string{"user.large": strings.Repeat("0123456789", 300), "user.other": "x"})
	set("xattrs/folder/", tar.TypeDir, map[string]string{"user.note": "on a folder", "trusted.a": "b"})
	set("xattrs/device", tar.TypeChar, map[string]string{"trusted.note": "on a device"})
	set("xattrs/fifo", tar.TypeFifo, map[string]string{"trusted.note": "on a FIFO"})
	many := map[string]string{}
	for i := range 40 {
		many[fmt.Sprintf("user.number%02d", i)] = fmt.Sprint(i)
	}
	set("xattrs/many", 0, many)
}

func addSparse(a *adder) {
	const block = 128 << 10
	a.dir("sparse")
	a.sparse("sparse/hole", 10*block)
	a.sparse("sparse/start", 3*block+17, layers.Segment{Offset: 2 * block, Data: noise(1, block+17)})
	a.sparse("sparse/end", 5*block, layers.Segment{Offset: 0, Data: noise(2, 4096)})
	a.sparse("sparse/tail-hole", 2*block+100, layers.Segment{Offset: 0, Data: noise(3, 2*block)})
	a.sparse("sparse/pieces", 40*block+5, layers.Segment{Offset: 4096, Data: noise(4, 512)},
		layers.Segment{Offset: 20 * block, Data: noise(5, 3*block)}, layers.Segment{Offset: 40 * block, Data: noise(6, 5)})
	a.file("sparse/written-zeros", strings.Repeat("\x00", 3*block+9))
}

func addNames(a *adder) {
	a.dir("names")
	for _, name := range []string{
		strings.Repeat("n", 255), strings.Repeat("é", 127), "\xff\xfe not UTF-8 \x80", "new\nline", "tab\tand space ", "-dash",
		`back\slash`, `"quotes'`, "$(HOME)*?[a]", "…", "wh.not-a-whiteout", ".hidden", "...", "\x01\x7f",
	} {
		a.file("names/"+name, "named "+name)
	}
	a.dir("names/crowd")
	for i := range 5000 {
		a.file(fmt.Sprintf("names/crowd/%d", i), "")
	}
	deep := "names"
	for i := range 60 {
		deep += fmt.Sprintf("/level%d", i)
		a.dir(deep)
	}
	a.file(deep+"/bottom", "here\n")
}

func addSizes(a *adder) {
	a.dir("sizes")
	for i, size := range []int{0, 1, 4095, 4096, 131071, 131072, 131073, 1 << 20, 1<<20 + 1, 3<<20 + 77} {
		a.file(fmt.Sprintf("sizes/noise%d", size), string(noise(uint64(100+i), size)))
		a.file(fmt.Sprintf("sizes/text%d", size), strings.Repeat("the same line again and again\n", size/30+1)[:size])
	}
	a.file("sizes/duplicate", string(noise(107, 1<<20)))
}

// runtimeSpecials ends the runtime layer: it hides, replaces and links to what the system layer has.
func runtimeSpecials(w *layers.Writer) error {
	a := &adder{w: w}
	a.file("hidden0/.wh.old", "")
	a.file(".wh.hidden1", "")
	a.dir("hidden2")
	a.file("hidden2/.wh..wh..opq", "")
	a.file("hidden2/new", "in place of all that was\n")
	a.add(tar.Header{Name: "hidden3/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 12, ModTime: time.Unix(99, 0)}, "")
	a.file("hidden4", "a file in place of a folder\n")
	a.dir("times/1")
	a.file("times/1/child", "a folder in place of a file\n")
	a.symlink("modes/file0755", "file0644")
	a.link("links/from-runtime", "links/lower")
	a.file("sizes/duplicate-of-system", string(noise(107, 1<<20)))
	a.file("sizes/text131072", "shorter now\n")
	return a.err
}

// appSpecials ends the app layer.
func appSpecials(huge bool) layers.Layer {
	return func(w *layers.Writer) error {
		a := &adder{w: w}
		a.file(".wh.hidden5", "")
		a.file("hidden2/.wh.new", "")
		a.file("hidden1", "back again, as a file\n")
		a.link("links/from-app", "links/from-runtime")
		a.link("links/second-from-app", "links/second")
		a.file("links/first", "no longer one of the three\n")
		a.file("sizes/duplicate-of-system2", string(noise(107, 1<<20)))
		if huge {
			const size = 5<<30 + 12345
			a.sparse("sparse/huge", size,
				layers.Segment{Offset: 1 << 20, Data: noise(7, 1<<20)},
				layers.Segment{Offset: 4<<30 + 77, Data: bytes.Repeat([]byte("past four GiB\n"), 20000)},
				layers.Segment{Offset: size - 100, Data: noise(8, 100)})
		}
		return a.err
	}
}

// noise is n bytes that no compressor makes smaller, the same for the same seed.
func noise(seed uint64, n int) []byte {
	source := rand.NewChaCha8([32]byte{0: byte(seed), 1: byte(seed >> 8)})
	b := make([]byte, n)
	source.Read(b)
	return b
}
