package erofs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/posixacl"
)

func file(path string) fstree.Entry {
	return fstree.Entry{Path: path, Type: fstree.Regular, Mode: 0o644}
}

func special(path string, kind fstree.Type) fstree.Entry {
	return fstree.Entry{Path: path, Type: kind, Mode: 0o644, Content: fstree.NoContent}
}

// Every content comes out as it went in, in one read and from any offset on.
func TestContents(t *testing.T) {
	files := imagetest.Contents()
	for _, compressor := range codecs {
		t.Run(compressor, func(t *testing.T) {
			layouts := map[erofspack.Layout]bool{}
			pack := build(t, compressor, func(b *erofspack.Builder) {
				for name, data := range files {
					add(t, b, file(name), data)
				}
			})
			for i := range pack.Contents() {
				c, err := pack.Content(uint32(i))
				if err != nil {
					t.Fatal(err)
				}
				layouts[c.Layout] = true
			}
			if len(layouts) < 2 || layouts[erofspack.LZ4] != (compressor == "lz4") || !layouts[erofspack.Chunked] {
				t.Errorf("the layouts are %v", layouts)
			}
			image, _ := link(t, pack)
			fsck(t, image)
			checkContents(t, mount(t, image), files)
		})
	}
}

func checkContents(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != data {
			t.Errorf("%s: %d bytes, equal %t, error %v", name, len(got), string(got) == data, err)
		}
	}
	dropCaches(t)
	for name, data := range files {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		for at := len(data) - 1; at > 0; at = at*2/3 - 1 {
			n, err := f.ReadAt(buf, int64(at))
			if want := data[at:min(len(data), at+10)]; string(buf[:n]) != want || err != nil && err != io.EOF {
				t.Errorf("%s at %d: %q, want %q, error %v", name, at, buf[:n], want, err)
			}
		}
		f.Close()
	}
}

// dropCaches makes the kernel read again.
func dropCaches(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0); err != nil {
		t.Logf("caches are not dropped: %v", err)
	}
}

// A directory of 100,000 entries, and some of about a block, whose end fits behind the inode or does not.
func TestLargeDirectory(t *testing.T) {
	const n = 100_000
	name := func(i int) string { return fmt.Sprintf("%x-%s", i*7919%n, strings.Repeat("n", i%50)) }
	pack := build(t, "none", func(b *erofspack.Builder) {
		for i := range n {
			add(t, b, file("large/"+name(i)), "")
		}
		for i := range 400 {
			for j := range 200 + i%30 {
				add(t, b, file(fmt.Sprintf("medium%d/%05d", i, j)), "")
			}
		}
		for _, special := range []string{"!", "-", ".a", "...", "/", "0", "\xff"} {
			add(t, b, file("dots/"+strings.ReplaceAll(special, "/", "+")), "")
		}
	})
	image, stats := link(t, pack)
	if stats.Directories != 403 {
		t.Errorf("%d directories", stats.Directories)
	}
	fsck(t, image)
	dir := mount(t, image)
	for i := range n {
		if _, err := os.Lstat(filepath.Join(dir, "large", name(i))); err != nil {
			t.Fatal(err)
		}
	}
	list, err := os.ReadDir(filepath.Join(dir, "large"))
	if err != nil || len(list) != n {
		t.Errorf("%d entries, error %v", len(list), err)
	}
	for i := range 400 {
		list, err := os.ReadDir(filepath.Join(dir, fmt.Sprintf("medium%d", i)))
		if err != nil || len(list) != 200+i%30 {
			t.Errorf("directory %d: %d entries, error %v", i, len(list), err)
		}
	}
	for _, name := range []string{"!", "-", ".a", "...", "+", "0", "\xff", ".", ".."} {
		if _, err := os.Lstat(filepath.Join(dir, "dots") + "/" + name); err != nil {
			t.Error(err)
		}
	}
}

// fsck.erofs reads images that end anywhere in a block of inodes, even with an inode without attributes.
func TestEndOfInodes(t *testing.T) {
	imagetest.Need(t, "fsck.erofs")
	for n := 60; n < 100; n++ {
		image, _ := link(t, build(t, "none", func(b *erofspack.Builder) {
			for i := range n {
				add(t, b, file(fmt.Sprint(i)), "")
			}
		}))
		if out := imagetest.Run(t, "fsck.erofs", "--extract", image); out != "" {
			t.Errorf("%d files: fsck.erofs says %s", n, out)
		}
	}
}

// What only the larger inode holds, and what is as large as it can be.
func TestExtremes(t *testing.T) {
	value := func(n int) []byte { return []byte(imagetest.Noise(n, n)) }
	long := special("far", fstree.Symlink)
	long.Link = strings.Repeat("d/", 2047) + "d"
	attributed := long
	attributed.Path, attributed.Xattrs = "far-attr", []fstree.Xattr{{Name: "trusted.x", Value: value(300)}}
	socket := special("socket", fstree.Socket)
	old := file("old")
	old.ModTime = -5_000_000_000
	future := file("future")
	future.ModTime = 1 << 40
	huge := file("xattrs")
	for i := range 40 {
		huge.Xattrs = append(huge.Xattrs, fstree.Xattr{Name: fmt.Sprintf("user.%04d", i), Value: value(200 + i)})
	}
	huge.Xattrs = append(huge.Xattrs, fstree.Xattr{Name: "user.max", Value: value(maxXattrValue)})
	many := special("many", fstree.Directory)
	for i := range 300 { // more than an inode can share
		many.Xattrs = append(many.Xattrs, fstree.Xattr{Name: fmt.Sprintf("user.s%04d", i), Value: value(8)})
	}
	manyToo := many
	manyToo.Path = "many-too"
	acl := file("acl")
	acl.Xattrs = []fstree.Xattr{{Name: "system.posix_acl_access", Value: []byte("\x02\x00\x00\x00" +
		"\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\xe8\x03\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff" +
		"\x10\x00\x04\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff")}}
	other := file("other")
	other.Xattrs = []fstree.Xattr{{Name: "btrfs.compression", Value: []byte("zstd")}}
	list := []fstree.Entry{long, attributed, socket, old, future, huge, many, manyToo, acl, other}
	for _, compressor := range codecs {
		t.Run(compressor, func(t *testing.T) {
			pack := build(t, compressor, func(b *erofspack.Builder) {
				for _, e := range list {
					data := ""
					if e.Type == fstree.Regular {
						data = imagetest.Text(1, 9000)
					}
					add(t, b, e, data)
				}
				for i := range 70_000 {
					add(t, b, fstree.Entry{
						Path: fmt.Sprintf("links/%d", i), Type: fstree.HardLink, Link: "acl", Content: fstree.NoContent,
					}, "")
				}
			})
			image, stats := link(t, pack)
			if d := stats.Dropped; d.Count != 1 || d.Name != "btrfs.compression" || d.Path != "/other" {
				t.Errorf("dropped %+v", d)
			}
			fsck(t, image)
			checkExtremes(t, mount(t, image), list)
		})
	}
}

func checkExtremes(t *testing.T, dir string, list []fstree.Entry) {
	t.Helper()
	for _, e := range list {
		path := filepath.Join(dir, e.Path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Error(err)
			continue
		}
		if st.Mtim.Sec != e.ModTime || st.Mode != uint32(fileMode(&fstree.Node{Type: e.Type, Mode: uint16(st.Mode & 0o7777)})) {
			t.Errorf("%s: time %d, mode %o", e.Path, st.Mtim.Sec, st.Mode)
		}
		if target, _ := os.Readlink(path); target != e.Link {
			t.Errorf("%s: target of %d bytes", e.Path, len(target))
		}
		if e.Path == "acl" && st.Nlink != 70_001 {
			t.Errorf("%d links", st.Nlink)
		}
		if e.Path == "other" {
			continue
		}
		for _, x := range e.Xattrs {
			buf := make([]byte, 1<<16)
			n, err := unix.Lgetxattr(path, x.Name, buf)
			if err != nil || !bytes.Equal(buf[:n], x.Value) {
				t.Errorf("%s: %s has %d bytes, error %v", e.Path, x.Name, n, err)
			}
		}
		buf := make([]byte, 1<<16)
		n, err := unix.Llistxattr(path, buf)
		names := strings.Split(strings.TrimSuffix(string(buf[:max(n, 0)]), "\x00"), "\x00")
		if err != nil || len(e.Xattrs) > 0 && len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(e.Xattrs) {
			t.Errorf("%s: %d attributes listed, error %v", e.Path, len(names), err)
		}
	}
}

// sparseReader is a file of zeros with data at two places.
type sparseReader struct{ at, size int64 }

var sparseData = map[int64]string{5 << 30: imagetest.Noise(5, 5000), 7<<30 - 100: imagetest.Text(7, 100)}

func (s *sparseReader) Read(p []byte) (int, error) {
	if s.at == s.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.size-s.at)]
	clear(p)
	for off, data := range sparseData {
		if from := off - s.at; from < int64(len(p)) && from > -int64(len(data)) {
			copy(p[max(from, 0):], data[max(-from, 0):])
		}
	}
	s.at += int64(len(p))
	return len(p), nil
}

// A sparse file of 7 GiB takes next to nothing in the image, compressed or not.
func TestLargeSparseFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	for _, compressor := range codecs {
		t.Run(compressor, func(t *testing.T) { largeSparseFile(t, compressor) })
	}
}

func largeSparseFile(t *testing.T, compressor string) {
	const size = 7 << 30
	pack := build(t, compressor, func(b *erofspack.Builder) {
		if err := b.Add(file("sparse"), &sparseReader{size: size}, size); err != nil {
			t.Fatal(err)
		}
	})
	image, stats := link(t, pack)
	if stats.Size > 9<<20 {
		t.Errorf("the image has %d bytes", stats.Size)
	}
	f, err := os.Open(filepath.Join(mount(t, image), "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != size {
		t.Errorf("%d bytes, error %v", info.Size(), err)
	}
	for off, data := range sparseData {
		buf := make([]byte, len(data)+10)
		n, err := f.ReadAt(buf[:10+min(len(data), int(size-off))], off-10)
		if err != nil || string(buf[:n]) != strings.Repeat("\x00", 10)+data {
			t.Errorf("at %d: error %v", off, err)
		}
	}
}

// What erofs cannot hold is an error that names the file, and nothing is written.
func TestTooLarge(t *testing.T) {
	device := special("a/b", fstree.CharDevice)
	device.Major = 4096
	value := file("y")
	value.Xattrs = []fstree.Xattr{{Name: "user.v", Value: make([]byte, maxXattrValue+1)}}
	total := file("z")
	for i := range 5 {
		total.Xattrs = append(total.Xattrs, fstree.Xattr{Name: fmt.Sprintf("user.%d", i), Value: make([]byte, 60_000)})
	}
	for want, e := range map[string]fstree.Entry{
		`"/a/b": device 4096:0 is beyond 4095:1048575, the highest number that erofs can hold; leave it out of the layer`: device,
		`"/y": the extended attribute "user.v" has 65536 bytes, more than the 65535`:                                      value,
		`more than the 262148 that erofs can hold; leave some out of the layer`:                                           total,
	} {
		pack := build(t, "none", func(b *erofspack.Builder) { add(t, b, e, "") })
		var out bytes.Buffer
		_, err := linkTo(t, &out, pack)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
		if out.Len() > 0 {
			t.Error("something was written before the error")
		}
	}
}

// ACLs that the kernel does not accept are dropped: it would give nothing of their files.
func TestACLs(t *testing.T) {
	good := []byte(imagetest.ACL(1, 7, 0, 4, 7, 0, 32, 0, 0))
	entry := func(path string, kind fstree.Type, name string, value []byte) fstree.Entry {
		e := special(path, kind)
		e.Xattrs = []fstree.Xattr{{Name: name, Value: value}}
		return e
	}
	pack := build(t, "none", func(b *erofspack.Builder) {
		for path, kind := range map[string]fstree.Type{"file": fstree.Regular, "fifo": fstree.FIFO, "dir": fstree.Directory} {
			add(t, b, entry(path, kind, posixacl.Access, good), "")
			add(t, b, entry("bad-"+path, kind, posixacl.Access, good[:11]), "")
		}
		link := entry("link", fstree.Symlink, posixacl.Access, good)
		link.Link = "file"
		add(t, b, link, "")
		add(t, b, entry("default", fstree.Directory, posixacl.Default, good), "")
		add(t, b, entry("no-default", fstree.Regular, posixacl.Default, good), "")
	})
	image, stats := link(t, pack)
	if stats.Dropped.Count != 5 {
		t.Errorf("dropped %+v, want 5", stats.Dropped)
	}
	lines := imagetest.Describe(t, mount(t, image))
	if text := strings.Join(lines, "\n"); len(lines) != 10 || strings.Count(text, "system.posix_acl") != 4 {
		t.Errorf("the mounted image has\n%s", text)
	}
}
