package fidelity

import (
	"archive/tar"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// entry is one tar entry of a hand-made layer.
type entry struct {
	tar.Header
	data   string
	sparse []layers.Segment
}

func header(name string, typeflag byte, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: typeflag, Mode: mode, ModTime: time.Unix(1600000000, 0)}
}

func file(name, data string) entry {
	return entry{Header: header(name, tar.TypeReg, 0o644), data: data}
}
func dir(name string) entry { return entry{Header: header(name+"/", tar.TypeDir, 0o755)} }

func link(typeflag byte, name, target string) entry {
	e := entry{Header: header(name, typeflag, 0o777)}
	e.Linkname = target
	return e
}

func hard(name, target string) entry { return link(tar.TypeLink, name, target) }
func soft(name, target string) entry { return link(tar.TypeSymlink, name, target) }

func device(name string, typeflag byte, major, minor int64) entry {
	e := entry{Header: header(name, typeflag, 0o600)}
	e.Devmajor, e.Devminor = major, minor
	return e
}

func (e entry) owned(mode int64, uid, gid int, seconds int64) entry {
	e.Mode, e.Uid, e.Gid, e.ModTime = mode, uid, gid, time.Unix(seconds, 0)
	return e
}

func (e entry) with(xattr, value string) entry {
	records := map[string]string{"SCHILY.xattr." + xattr: value}
	for k, v := range e.PAXRecords {
		records[k] = v
	}
	e.PAXRecords = records
	return e
}

func (e entry) holes(size int64, segments ...layers.Segment) entry {
	e.Size, e.sparse = size, segments
	return e
}

// stack is a list of layers, base first.
type stack [][]entry

func (s stack) layers() []layers.Layer {
	var out []layers.Layer
	for _, entries := range s {
		out = append(out, func(w *layers.Writer) error {
			for _, e := range entries {
				h := e.Header
				var err error
				if h.Size > 0 {
					err = w.AddSparse(&h, e.sparse)
				} else {
					h.Size = int64(len(e.data))
					err = w.Add(&h, strings.NewReader(e.data))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return out
}

// root is in every base layer: without it the root folder has the time of the unpacking.
var root = dir(".").owned(0o751, 3, 4, 1500000000)

// promised is what Fledge promises where umoci's result follows the umask and the clock: folders that no layer describes
// are 0755, owned by root, of 1970, and making one does not touch the time of the folder it is in.
type promised map[string]string

const impliedDir = "040755 0:0 0"

const rootAsDescribed = "040751 3:4 1500000000"

// apply puts the promises into lines, which describe what umoci unpacked.
func (p promised) apply(lines []string) []string {
	out := slices.Clone(lines)
	for i, line := range out {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, `"`), `"`)
		if promise, ok := p[name]; ok {
			out[i] = `"` + name + `" ` + promise
		}
	}
	return out
}

var stacks = []struct {
	name     string
	layers   stack
	promised promised
}{
	{"one file", stack{{root, file("a", "content")}}, nil},
	{"names with ./ and trailing slashes", stack{{root, dir("./a"), file("./a/b", "1"), file("a//c", "2")}}, nil},
	{"no entry for a parent", stack{{root, file("a/b/c", "deep")}}, promised{".": rootAsDescribed, "a": impliedDir, "a/b": impliedDir}},
	{"no entry for the root", stack{{file("a", "")}}, promised{".": impliedDir}},
	{"parents described after their children", stack{
		{root, file("a/b", "1"), dir("a").owned(0o700, 1, 2, 77)},
	}, promised{".": rootAsDescribed}},
	{"the same name twice", stack{{root, file("a", "first"), file("a", "second").owned(0o600, 9, 9, 9)}}, nil},
	{"whiteout of a file", stack{{root, dir("d"), file("d/a", ""), file("d/b", "")}, {file("d/.wh.a", "")}}, nil},
	{"whiteout of a folder", stack{{root, dir("d"), dir("d/e"), file("d/e/f", "")}, {file("d/.wh.e", "")}}, nil},
	{"whiteout of a symlink to a folder", stack{{root, dir("d"), file("d/f", ""), soft("s", "d")}, {file(".wh.s", "")}}, nil},
	{"whiteout of nothing", stack{{root, dir("d")}, {file("d/.wh.none", ""), file(".wh.none", "")}}, nil},
	{"whiteout and the same name in one layer", stack{
		{root, dir("d"), file("d/a", "old").owned(0o600, 1, 1, 1)}, {file("d/.wh.a", ""), file("d/a", "new")},
	}, nil},
	{"whiteout after the same name in one layer", stack{
		{root, dir("d"), file("d/a", "old")}, {file("d/a", "new"), file("d/.wh.a", "")},
	}, nil},
	{"whiteout of one name of a hard link", stack{
		{root, file("a", "shared"), hard("b", "a"), hard("c", "a")}, {file(".wh.a", "")},
	}, nil},
	{"opaque folder", stack{
		{root, dir("d"), file("d/a", ""), dir("d/e"), file("d/e/f", "")},
		{dir("d"), file("d/.wh..wh..opq", ""), file("d/new", "")},
	}, nil},
	{"opaque folder without an entry of its own", stack{
		{root, dir("d").owned(0o711, 5, 6, 7), file("d/a", "")}, {file("d/.wh..wh..opq", "")},
	}, nil},
	{"opaque root", stack{{root, file("a", ""), dir("d")}, {file(".wh..wh..opq", ""), file("b", "")}}, nil},
	{"a folder's later metadata", stack{
		{root, dir("d").with("user.a", "1").with("user.b", "2"), file("d/f", "")},
		{dir("d").owned(0o1777, 7, 8, 9).with("user.c", "3")},
	}, nil},
	{"file becomes folder", stack{{root, file("a", "")}, {dir("a"), file("a/b", "")}}, nil},
	{"folder becomes file", stack{{root, dir("a"), file("a/b", "")}, {file("a", "now a file")}}, nil},
	{"symlink becomes folder", stack{{root, dir("d"), file("d/f", ""), soft("s", "d")}, {dir("s"), file("s/g", "")}}, nil},
	{"folder becomes symlink", stack{{root, dir("d"), file("d/f", ""), dir("e")}, {soft("d", "e")}}, nil},
	{"device becomes file", stack{{root, device("a", tar.TypeChar, 1, 5)}, {file("a", "")}}, nil},
	{"entry below a symlink", stack{{root, dir("real"), soft("s", "/real"), soft("t", "s")}, {file("t/f", "through two")}}, nil},
	{"entry below a climbing symlink", stack{{root, dir("real"), soft("s", "../../../real")}, {file("s/f", "within the root")}}, nil},
	{"entry below a dangling symlink", stack{{root, soft("s", "/not/there")}, {file("s/f", "")}}, promised{".": rootAsDescribed, "not": impliedDir, "not/there": impliedDir}},
	{"hard links over layers", stack{
		{root, file("a", "one inode").with("user.x", "y")}, {hard("b", "a")}, {hard("c", "b"), file("d", "other")},
	}, nil},
	{"hard link to a replaced file", stack{{root, file("a", "old"), hard("b", "a")}, {file("a", "new"), hard("c", "a")}}, nil},
	{"hard links to everything", stack{{
		root, soft("s", "nowhere"), hard("s2", "s"), device("c", tar.TypeChar, 5, 1), hard("c2", "c"),
		device("b", tar.TypeBlock, 253, 65536), hard("b2", "b"), entry{Header: header("p", tar.TypeFifo, 0o622)}, hard("p2", "p"),
	}}, nil},
	{"hard link below a symlink", stack{{root, dir("d"), soft("s", "d"), file("s/a", "x"), hard("s/b", "s/a")}}, nil},
	{"xattrs", stack{{
		root.with("user.root", "r"), file("a", "").with("security.capability", capability).with("user.a", "b"),
		file("b", "").with("user.a", strings.Repeat("long", 500)), file("c", "").with("user.a", strings.Repeat("long", 500)),
		soft("s", "a").with("trusted.s", "on a symlink"), dir("d").with("trusted.d", "\x00\xff"),
		file("posix", "").with("system.posix_acl_access", "not kept by squashfs"),
	}}, nil},
	{"xattrs do not outlive their file", stack{{root, file("a", "").with("user.a", "1")}, {file("a", "")}}, nil},
	{"sparse files", stack{{
		root, file("hole", "").holes(1<<20 + 1), file("small-hole", "").holes(100),
		file("mixed", "").holes(900000, layers.Segment{Offset: 1, Data: []byte("x")}, layers.Segment{Offset: 400000, Data: []byte("y")}),
	}}, nil},
	{"owners of 32 bits", stack{{root, file("a", "").owned(0o4711, 4294967294, 65536, 1), dir("d").owned(0o7777, 70000, 4294967294, 2)}}, nil},
	{"times of 32 bits", stack{{root, file("a", "").owned(0, 0, 0, 4294967295), file("b", "").owned(0, 0, 0, 2147483648)}}, nil},
	{"duplicates", stack{
		{root, file("a", strings.Repeat("dup", 100000)), file("b", strings.Repeat("dup", 100000)), file("c", "tail"), file("d", "tail")},
		{file("e", strings.Repeat("dup", 100000)), file("f", "tail"), file(".wh.a", "")},
	}, nil},
	{"three layers of one folder", stack{
		{root, dir("etc"), file("etc/a", "1")}, {dir("etc").owned(0o700, 0, 0, 5), file("etc/b", "2")}, {file("etc/c", "3"), file("etc/.wh.a", "")},
	}, nil},
}

// capability is cap_net_bind_service=ep (linux/capability.h, struct vfs_cap_data, revision 2).
const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Every stack comes out as umoci unpacks it.
func TestStacks(t *testing.T) {
	imagetest.NeedRoot(t, "umoci", "unsquashfs", "mksquashfs")
	for _, tc := range stacks {
		t.Run(tc.name, func(t *testing.T) {
			layout := filepath.Join(t.TempDir(), "layout")
			if err := layers.WriteLayout(layout, layers.Gzip, v1.ImageConfig{}, tc.layers.layers()...); err != nil {
				t.Fatal(err)
			}
			blobs, err := layers.Blobs(layout)
			if err != nil {
				t.Fatal(err)
			}
			rootfs := unpack(t, layout)
			want := tc.promised.apply(imagetest.Describe(t, rootfs))
			image := build(t, settings{"squashfs", "zstd", 1, 128 << 10}, blobs...)
			compare(t, "extracted by unsquashfs", withoutACLs(want), imagetest.Describe(t, extract(t, image)))
			for _, s := range []settings{erofsNone, erofsLZ4, ext4} {
				t.Run(s.String(), func(t *testing.T) {
					mounted := imagetest.MountAs(t, s.filesystem, "ro", build(t, s, blobs...))
					compare(t, "mounted by the kernel", want, imagetest.Describe(t, mounted))
				})
			}
			if len(tc.promised) == 0 {
				compare(t, "unsquashfs -lln", listing(t, mksquashfs(t, rootfs)), listing(t, image))
			}
		})
	}
}

var acl = regexp.MustCompile(` system\.\w+=[0-9a-f]*`)

// withoutACLs takes POSIX ACLs away, which squashfs has no place for.
func withoutACLs(lines []string) []string {
	out := slices.Clone(lines)
	for i, line := range out {
		out[i] = strings.TrimRight(acl.ReplaceAllString(line, ""), " ")
	}
	return out
}
