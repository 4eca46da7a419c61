package ext4

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// Directories without, with a low and with a high hash tree; e2fsck verifies the hashes, and the kernel finds and adds
// names through the tree.
func TestLargeDirectories(t *testing.T) {
	imagetest.NeedRoot(t)
	sizes := map[string]int{"plain": 60, "low": 3000, "high": 120_000}
	name := func(i int) string { return fmt.Sprintf("%x-%s\xe4", i*7919, strings.Repeat("n", i%60)) }
	pack := build(t, plain, func(b *layerpack.Builder) {
		for dir, n := range sizes {
			for i := range n {
				add(t, b, emptyFile(dir+"/"+name(i)), "")
			}
		}
		// Where a block is full, with and without "." and "..": 16 bytes an entry.
		for n := 250; n < 260; n++ {
			for i := range n {
				add(t, b, emptyFile(fmt.Sprintf("edge%d/%08d", n, i)), "")
			}
		}
		// Where the root and a block below it are full: 15 names a leaf.
		for _, leaves := range []int{rootFanOut, rootFanOut + 1, nodeFanOut, nodeFanOut + 1, 2*nodeFanOut + 1} {
			for i := range leaves * 15 {
				add(t, b, emptyFile(fmt.Sprintf("leaves%d/%s%05d", leaves, strings.Repeat("l", 250), i)), "")
			}
		}
	})
	image, _ := link(t, Options{}, pack)
	for dir, want := range map[string]string{
		"plain": "Not a hash-indexed", "low": "Indirect levels: 0", "high": "Indirect levels: 1",
	} {
		if out := imagetest.Run(t, "debugfs", "-R", "htree /"+dir, image); !strings.Contains(out, want) {
			t.Errorf("debugfs says of %s: %.300s", dir, out)
		}
	}
	t.Run("mounted", func(t *testing.T) {
		root := mount(t, "rw", image)
		for dir, n := range sizes {
			for i := 0; i < n; i += 97 {
				if _, err := os.Stat(filepath.Join(root, dir, name(i))); err != nil {
					t.Error(err)
				}
			}
			if list, err := os.ReadDir(filepath.Join(root, dir)); err != nil || len(list) != n {
				t.Errorf("%s: %d entries, %v", dir, len(list), err)
			}
			for i := range 500 { // leaves are full: they are split
				if err := os.WriteFile(filepath.Join(root, dir, fmt.Sprintf("new-%d", i)), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	check(t, image)
}

// More entries than the two levels of a hash tree have room for are an error, not an endless or broken directory.
func TestTooLargeDirectory(t *testing.T) {
	if testing.Short() {
		t.Skip("lays out 3.9 million entries")
	}
	const most = rootFanOut * nodeFanOut * 15 // names of this length
	name := strings.Repeat("n", 255)
	entries := make([]dirEntry, most+1)
	for i := range entries {
		entries[i].name = name
	}
	_, err := layOutDir(entries, [4]uint32{})
	want := "3878551 entries are more than one directory of an ext4 image can hold; spread them over several"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// The hash of a leaf that begins with a hash of the leaf before has the lowest bit set, so that both are searched.
func TestCollision(t *testing.T) {
	l := &dirLayout{leaves: []int{0, 1, 2}}
	for _, hash := range []uint32{4, 4, 8} {
		l.entries = append(l.entries, dirEntry{name: "n", hash: nameHash{major: hash}})
	}
	for i, want := range []uint32{4, 5, 8} {
		if got := l.leaf(make([]byte, blockSize), i, 1+i, 0); got != (pair{want, uint32(1 + i)}) {
			t.Errorf("leaf %d: %+v, want hash %d", i, got, want)
		}
	}
}

// debugfs hashes names as we do.
func TestHash(t *testing.T) {
	imagetest.Need(t, "debugfs")
	seed := [4]uint32{0x01020304, 0xfffefdfc, 7, 0x80000000}
	const uuid = "04030201-fcfd-feff-0700-000000000080"
	for _, name := range []string{
		"a", "hello", strings.Repeat("x", 31), strings.Repeat("y", 32), strings.Repeat("z", 33), strings.Repeat("ab", 127),
		"gr\xc3\xbc\xc3\x9fe",
	} {
		h := hashName(seed, name)
		out := imagetest.Run(t, "debugfs", "-R", "dx_hash -h half_md4 -s "+uuid+" "+name)
		if want := fmt.Sprintf("is 0x%x (minor 0x%x)", h.major, h.minor); !strings.Contains(out, want) {
			t.Errorf("%q: %s, debugfs says %s", name, want, out)
		}
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Sparse files: one of more than 4 GiB, one of zeros alone, and one of so many pieces that its extent tree is high.
func TestSparse(t *testing.T) {
	imagetest.NeedRoot(t)
	if testing.Short() {
		t.Skip("hashes 4 GiB")
	}
	const size, pieces = 4<<30 + 12345, 3000
	large := build(t, settings{"lz4", 1 << 20}, func(b *layerpack.Builder) {
		in := io.MultiReader(io.LimitReader(zeroReader{}, size), strings.NewReader("the end"))
		if err := b.Add(emptyFile("large"), in, size+7); err != nil {
			t.Fatal(err)
		}
		add(t, b, emptyFile("zeros"), strings.Repeat("\x00", 3<<20))
	})
	piece := strings.Repeat("\x00", 4096) + imagetest.Noise(1, 4096)
	combed := build(t, settings{"none", 4096}, func(b *layerpack.Builder) {
		add(t, b, emptyFile("comb"), strings.Repeat(piece, pieces)+"x")
	})
	image, stats := link(t, Options{SizeBuffer: 1}, large, combed)
	if stats.Size > 20<<20 {
		t.Errorf("the image has %d bytes: the zeros are stored", stats.Size)
	}
	dir := mount(t, "ro", image)
	for name, want := range map[string]struct{ size, blocks int64 }{
		"large": {size + 7, 4}, "zeros": {3 << 20, 0}, "comb": {pieces*8192 + 1, 3001 + 9 + 1},
	} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil || st.Size != want.size || st.Blocks != 8*want.blocks {
			t.Errorf("%s: %d bytes, %d blocks of 512, %v; want %+v", name, st.Size, st.Blocks, err, want)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "comb"))
	if err != nil || string(got) != strings.Repeat(piece, pieces)+"x" {
		t.Errorf("comb has other data, %v", err)
	}
	f, err := os.Open(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end := make([]byte, 10)
	if _, err := f.ReadAt(end, size-3); err != nil || string(end) != "\x00\x00\x00the end" {
		t.Errorf("the end is %q, %v", end, err)
	}
}

// Images of many groups, with heads inside of large files, and of many inodes with little data.
func TestManyGroups(t *testing.T) {
	imagetest.Need(t, "e2fsck", "debugfs")
	big := build(t, plain, func(b *layerpack.Builder) {
		for i := range 5 {
			add(t, b, emptyFile(fmt.Sprintf("big%d", i)), imagetest.Noise(i, 60<<20))
		}
	})
	image, stats := link(t, Options{SizeBuffer: 40 << 10, Journal: true}, big)
	// By the copies of the superblock and descriptors.
	imagetest.Run(t, "e2fsck", "-fn", "-b", "98304", "-B", "4096", image)
	t.Run("mounted", func(t *testing.T) { // the kernel frees extents that lie in two groups
		dir := mount(t, "rw", image)
		for i := range 5 {
			name := filepath.Join(dir, fmt.Sprintf("big%d", i))
			if got, err := os.ReadFile(name); err != nil || string(got) != imagetest.Noise(i, 60<<20) {
				t.Errorf("%s has other data, %v", name, err)
			}
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		}
	})
	check(t, image)
	if stats.Free < 40<<30 || stats.Free > 40<<30+40<<20 {
		t.Errorf("%d bytes free", stats.Free)
	}
	small := build(t, plain, func(b *layerpack.Builder) {
		for i := range 70_000 {
			add(t, b, emptyFile(fmt.Sprintf("d%d/f%d", i/1000, i)), "")
		}
	})
	image, stats = link(t, Options{SizeBuffer: 1}, small)
	if stats.Size > 40<<20 {
		t.Errorf("the image has %d bytes", stats.Size)
	}
	t.Run("mounted", func(t *testing.T) { mount(t, "ro", image) })
	for _, buffer := range []int{1, 63, 100, 120, 127, 128, 129, 250, 384, 500, 1000, 5000} { // where groups begin
		if _, stats := link(t, Options{SizeBuffer: buffer}, build(t, plain, func(b *layerpack.Builder) {
			add(t, b, emptyFile("f"), "data")
		})); stats.Free < uint64(buffer)<<20 {
			t.Errorf("buffer %d: %+v", buffer, stats)
		}
	}
}

const mib = 1 << 20 / blockSize // blocks

// Layouts of all sizes, which would take too long to write: what is free and in use adds up, nothing overlaps.
func TestLayouts(t *testing.T) {
	for _, buffer := range []uint64{1, 64, 127, 128, 129, 4096, 1 << 18, 1<<20 - 1<<14, MaxSizeBuffer} {
		for _, inodes := range []int{1, 40_000, 300_000} {
			p := &plan{stats: &Stats{}, inodes: make([]inode, inodes)}
			for i := range p.inodes {
				p.inodes[i].node = &fstree.Node{Type: fstree.Directory}
				p.inodes[i].blocks = 1
			}
			if err := p.layOut(Options{SizeBuffer: int(buffer), Journal: true}); err != nil {
				t.Fatal(err)
			}
			used := uint64(1+len(p.copies()))*p.head() + 2*p.groups + p.groups*p.inodesPerGroup/inodesPerBlock + p.resizeNodes() +
				uint64(p.journal.blocks) + uint64(p.journal.nodes) + uint64(inodes)
			free := p.freeBlocks()
			if used+free != p.total || free < buffer*mib || free > buffer*mib+p.head()+minLast {
				t.Errorf("%d MiB, %d inodes: %d used and %d free of %d blocks", buffer, inodes, used, free, p.total)
			}
			if p.inodesPerGroup > bitsPerBlock || p.blocksPerGroup > bitsPerBlock || p.blocksPerGroup%8 > 0 {
				t.Errorf("%d MiB, %d inodes: groups of %d blocks, %d inodes", buffer, inodes, p.blocksPerGroup, p.inodesPerGroup)
			}
			if n := p.groupSize(p.groups - 1); n < minLast+p.head() || n > p.blocksPerGroup {
				t.Errorf("%d MiB, %d inodes: the last group has %d blocks", buffer, inodes, n)
			}
		}
	}
}

// What ext4 cannot hold is an error that names the file.
func TestLimits(t *testing.T) {
	none := uint32(fstree.NoContent)
	for _, tc := range []struct {
		add  func(b *layerpack.Builder)
		want string
	}{
		{func(b *layerpack.Builder) {
			add(t, b, emptyFile("a/0"), "x")
			for i := range maxLinks {
				add(t, b, fstree.Entry{Path: fmt.Sprintf("l%d", i), Type: fstree.HardLink, Link: "a/0"}, "")
			}
		}, `"/l0": it has 65001 names, ext4 holds 65000 of a file; copy it for some of them`},
		{func(b *layerpack.Builder) {
			add(t, b, fstree.Entry{Path: "x/dev", Type: fstree.CharDevice, Major: 4096, Content: none}, "")
		}, `"/x/dev": device 4096:0 is beyond 4095:1048575, the highest number that Linux has; leave it out of the layer`},
		{func(b *layerpack.Builder) {
			e := emptyFile("x/attrs")
			e.Xattrs = []fstree.Xattr{{Name: "user.a", Value: make([]byte, 5000)}}
			add(t, b, e, "")
		}, `"/x/attrs": its extended attributes take 5020 bytes, of which ext4 has room for about 4156; ` +
			`shorten or remove them, or make a squashfs image`},
	} {
		packs := []*layerpack.Reader{build(t, plain, tc.add)}
		_, err := Link(context.Background(), io.Discard, fstreetest.Merge(t, packs), packs, Options{})
		if err == nil || err.Error() != tc.want {
			t.Errorf("error %v, want %s", err, tc.want)
		}
	}
}

// The deepest tree that a merge lets through, and more subdirectories than a link count can tell.
func TestDeepAndWide(t *testing.T) {
	imagetest.NeedRoot(t)
	pack := build(t, plain, func(b *layerpack.Builder) {
		add(t, b, fstree.Entry{Path: strings.TrimSuffix(strings.Repeat("d/", 2047), "/"), Type: fstree.Directory, Mode: 0o755}, "")
		for i := range maxLinks + 10 {
			add(t, b, fstree.Entry{Path: fmt.Sprintf("wide/%d", i), Type: fstree.Directory, Mode: 0o755}, "")
		}
	})
	image, stats := link(t, Options{}, pack)
	if stats.Directories != 2047+maxLinks+10+2 {
		t.Errorf("%d directories", stats.Directories)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(mount(t, "ro", image), "wide"), &st); err != nil || st.Nlink != 1 {
		t.Errorf("%d links, %v", st.Nlink, err)
	}
}

// Attributes: those that the kernel would not take are left out and told; the same ones are stored once for many files.
func TestXattrs(t *testing.T) {
	imagetest.NeedRoot(t)
	with := func(path string, attrs ...string) fstree.Entry {
		e := emptyFile(path)
		for i := 0; i < len(attrs); i += 2 {
			e.Xattrs = append(e.Xattrs, fstree.Xattr{Name: attrs[i], Value: []byte(attrs[i+1])})
		}
		return e
	}
	const access = "system.posix_acl_access"
	bad := []string{
		"", "\x02", imagetest.ACL(), imagetest.ACL(1, 6, 0), imagetest.ACL(1, 7, 0, 2, 7, 5, 4, 7, 0, 32, 0, 0), imagetest.ACL(1, 8, 0, 4, 7, 0, 32, 0, 0),
		imagetest.ACL(4, 7, 0, 1, 7, 0, 32, 0, 0), imagetest.ACL(1, 7, 0, 1, 7, 0, 4, 7, 0, 32, 0, 0), imagetest.ACL(1, 7, 0, 4, 7, 0, 32, 0, 0, 64, 0, 0),
		imagetest.ACL(1, 7, 0, 4, 7, 0, 32, 0, 0) + "x",
	}
	value := imagetest.Noise(3, 1000)
	pack := build(t, plain, func(b *layerpack.Builder) {
		for i, a := range bad {
			add(t, b, with(fmt.Sprintf("a/bad%d", i), access, a), "")
		}
		add(t, b, with("a/default", "system.posix_acl_default", imagetest.ACL(1, 7, 0, 4, 7, 0, 32, 0, 0)), "")
		add(t, b, with("a/other", "system.nfs4_acl", "x", "user.", "only a namespace", "zzz", "x"), "")
		add(t, b, with("a/empty", "trusted.y", "", "user.empty", "", "user.x", ""), "")
		for i := range 2 * maxShared {
			add(t, b, with(fmt.Sprintf("many/%d", i), "user.same", value), "")
		}
	})
	image, stats := link(t, Options{SizeBuffer: 1}, pack)
	if d := stats.Dropped; d.Count != len(bad)+4 || d.Name != access || d.Path != "/a/bad0" {
		t.Errorf("dropped %+v", d)
	}
	if stats.Size > 4<<20 {
		t.Errorf("the image has %d bytes: the same attributes are stored many times", stats.Size)
	}
	dir := mount(t, "ro", image)
	for path, want := range map[string]string{
		"a/bad0": "", "a/bad9": "", "a/default": "", "a/other": "", "a/empty": "trusted.y= user.empty= user.x=",
		"many/0": fmt.Sprintf("user.same=%x", value), "many/2047": fmt.Sprintf("user.same=%x", value),
	} {
		if got, err := imagetest.Xattrs(filepath.Join(dir, path)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
}
