package squashfs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

func emptyFile(path string) fstree.Entry {
	return fstree.Entry{Path: path, Type: fstree.Regular, Mode: 0o644}
}

// A directory of 100,000 entries, and two more of about a block of metadata, with and without index.
func TestLargeDirectory(t *testing.T) {
	const n = 100_000
	o := options(t, "zstd", 128<<10)
	name := func(i int) string { return fmt.Sprintf("%x-%s", i*7919%n, strings.Repeat("n", i%50)) }
	pack := build(t, o, func(b *layerpack.Builder) {
		for i := range n {
			add(t, b, emptyFile("large/"+name(i)), "")
		}
		for i := range 400 {
			add(t, b, emptyFile(fmt.Sprintf("medium/%04d", i)), "")
			folder := fmt.Sprintf("folders/%06d", i)
			add(t, b, fstree.Entry{Path: folder, Type: fstree.Directory, Content: fstree.NoContent}, "")
		}
	})
	image, stats := link(t, o, pack)
	if stats.Inodes != n+1200-400+4 {
		t.Errorf("%d inodes", stats.Inodes)
	}
	t.Run("unsquashfs", func(t *testing.T) {
		imagetest.Need(t, "unsquashfs")
		lines := strings.Split(imagetest.Run(t, "unsquashfs", "-l", "-d", "", image), "\n")
		if want := n + 800 + 3; len(lines) < want || len(lines) > want+8 {
			t.Errorf("%d lines, want about %d", len(lines), want)
		}
	})
	t.Run("kernel", func(t *testing.T) {
		dir := imagetest.Mount(t, image)
		for i := 0; i < n; i += 997 { // each look-up goes through the index
			if _, err := os.Stat(filepath.Join(dir, "large", name(i))); err != nil {
				t.Error(err)
			}
		}
		for _, missing := range []string{"0", "zzz", "", "7000"} {
			if _, err := os.Stat(filepath.Join(dir, "large", missing+"-missing")); !os.IsNotExist(err) {
				t.Errorf("%q: %v", missing, err)
			}
		}
		list, err := os.ReadDir(filepath.Join(dir, "large"))
		if err != nil || len(list) != n {
			t.Fatalf("%d entries, %v", len(list), err)
		}
		if !slices.IsSortedFunc(list, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }) {
			t.Error("entries out of order")
		}
		for _, small := range []string{"medium", "folders"} {
			if list, err := os.ReadDir(filepath.Join(dir, small)); err != nil || len(list) != 400 {
				t.Errorf("%s: %d entries, %v", small, len(list), err)
			}
		}
	})
}

// zeros reads as size zeros and then tail.
func zeros(size int64, tail string) io.Reader {
	return io.MultiReader(io.LimitReader(zeroReader{}, size), strings.NewReader(tail))
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A sparse file of more than 4 GiB, which ends in data.
func TestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("hashes 4 GiB")
	}
	const size = 4<<30 + 12345
	o := options(t, "lz4", 1<<20)
	pack := build(t, o, func(b *layerpack.Builder) {
		if err := b.Add(emptyFile("large"), zeros(size, "the end"), size+7); err != nil {
			t.Fatal(err)
		}
		add(t, b, emptyFile("zeros"), strings.Repeat("\x00", 3<<20))
	})
	image, stats := link(t, o, pack)
	if stats.Size > 1<<20 {
		t.Errorf("the image has %d bytes: the zeros are stored", stats.Size)
	}
	dir := imagetest.Mount(t, image)
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "large"), &st); err != nil {
		t.Fatal(err)
	}
	if st.Size != size+7 || st.Blocks != (12345+7+511)/512 {
		t.Errorf("size %d, %d blocks of 512", st.Size, st.Blocks)
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
	if err := unix.Stat(filepath.Join(dir, "zeros"), &st); err != nil || st.Size != 3<<20 || st.Blocks != 0 {
		t.Errorf("zeros: size %d, %d blocks, %v", st.Size, st.Blocks, err)
	}
}

// A file that begins above 4 GiB needs the extended inode; one below does not.
func TestFarStart(t *testing.T) {
	o := options(t, "none", 4096)
	packs := []*layerpack.Reader{build(t, o, func(b *layerpack.Builder) { add(t, b, emptyFile("f"), imagetest.Noise(1, 5000)) })}
	tree := fstreetest.Merge(t, packs)
	for start, kind := range map[uint64]uint16{
		1<<32 - 1: typeFile, 1 << 32: typeFile + extended, 5 << 40: typeFile + extended,
	} {
		plan, err := newPlan(tree, packs, start, o, &Stats{})
		if err != nil {
			t.Fatal(err)
		}
		workers, err := newPool(o.Codec, metadataSize, 1)
		if err != nil {
			t.Fatal(err)
		}
		img := newImage(context.Background(), plan, workers, o.BlockSize)
		if err := img.describe(tree); err != nil {
			t.Fatal(err)
		}
		workers.close()
		inode := img.inodes.buf
		got := uint64(le.Uint32(inode[16:]))
		if kind > extended {
			got = le.Uint64(inode[16:])
		}
		if le.Uint16(inode) != kind || got != start {
			t.Errorf("data at %d: inode type %d with start %d, want type %d", start, le.Uint16(inode), got, kind)
		}
	}
}

// 65,535 ids fit, one more does not.
func TestManyIDs(t *testing.T) {
	o := options(t, "lz4", 4096)
	owners := func(n int) *layerpack.Reader {
		return build(t, o, func(b *layerpack.Builder) {
			for i := range n { // each file has two ids, the root 0:0
				e := emptyFile(fmt.Sprintf("d%d/f%d", i/1000, i))
				e.UID, e.GID = uint32(2*i), uint32(2*i+1)
				add(t, b, e, "")
			}
		})
	}
	fits, tooMany := owners(maxIDs/2), owners(maxIDs/2+1)
	image, _ := link(t, o, fits)
	packs := []*layerpack.Reader{tooMany}
	_, err := Link(context.Background(), io.Discard, fstreetest.Merge(t, packs), packs, o)
	want := "more than 65535 different user and group ids, which is all that squashfs can hold"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	var st unix.Stat_t
	err = unix.Stat(filepath.Join(imagetest.Mount(t, image), "d32/f32766"), &st)
	if err != nil || st.Uid != 65532 || st.Gid != 65533 {
		t.Errorf("owner %d:%d, %v", st.Uid, st.Gid, err)
	}
}

// Names of one node that lie far apart and in many folders.
func TestManyHardLinks(t *testing.T) {
	const n = 70_000
	o := options(t, "zstd", 4096)
	pack := build(t, o, func(b *layerpack.Builder) {
		add(t, b, emptyFile("0"), "linked")
		for i := range n {
			add(t, b, emptyFile(fmt.Sprintf("d%d/f%d", i/500, i)), "")
			add(t, b, fstree.Entry{
				Path: fmt.Sprintf("d%d/l%d", i/500, i), Type: fstree.HardLink, Link: "0", Content: fstree.NoContent,
			}, "")
		}
	})
	image, stats := link(t, o, pack)
	if stats.Inodes != n+n/500+2 || stats.Files != n+1 {
		t.Errorf("stats %+v", stats)
	}
	dir := imagetest.Mount(t, image)
	var st, other unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "0"), &st); err != nil || st.Nlink != n+1 {
		t.Errorf("%d links, %v", st.Nlink, err)
	}
	for i := 0; i < n; i += 1009 {
		path := filepath.Join(dir, fmt.Sprintf("d%d/l%d", i/500, i))
		if err := unix.Stat(path, &other); err != nil || other.Ino != st.Ino || other.Nlink != n+1 {
			t.Errorf("%s: inode %d, %v", path, other.Ino, err)
		}
	}
	if err := unix.Stat(filepath.Join(dir, "d0"), &st); err != nil || st.Nlink != 2 {
		t.Errorf("a folder without folders has %d links, %v", st.Nlink, err)
	}
	if err := unix.Stat(dir, &st); err != nil || st.Nlink != n/500+2 {
		t.Errorf("the root has %d links, %v", st.Nlink, err)
	}
}

// Attributes of namespaces that squashfs does not have are counted; empty and long values are kept.
func TestXattrs(t *testing.T) {
	o := options(t, "zstd", 4096)
	long := imagetest.Text(1, 60_000)
	with := func(path string, attrs ...string) fstree.Entry {
		e := emptyFile(path)
		for i := 0; i < len(attrs); i += 2 {
			e.Xattrs = append(e.Xattrs, fstree.Xattr{Name: attrs[i], Value: []byte(attrs[i+1])})
		}
		return e
	}
	pack := build(t, o, func(b *layerpack.Builder) {
		add(t, b, with("a/acl", "system.posix_acl_access", "\x02", "user.kept", ""), "")
		add(t, b, with("a/only-acl", "system.posix_acl_access", "\x02"), "")
		add(t, b, with("a/z", "user.", "a name that is only a namespace"), "")
		for i := range 300 { // long values that are the same are stored once
			add(t, b, with(fmt.Sprintf("f%d", i), "user.long", long, fmt.Sprintf("user.n%d", i), fmt.Sprint(i)), "")
		}
	})
	image, stats := link(t, o, pack)
	if d := stats.Dropped; d.Count != 3 || d.Name != "system.posix_acl_access" || d.Path != "/a/acl" {
		t.Errorf("dropped %+v", d)
	}
	if stats.Size > 100_000 {
		t.Errorf("the image has %d bytes: the long value is stored many times", stats.Size)
	}
	dir := imagetest.Mount(t, image)
	for path, want := range map[string]string{
		"a/acl": "user.kept=", "a/only-acl": "", "f0": fmt.Sprintf("user.long=%x user.n0=30", long),
		"f299": fmt.Sprintf("user.long=%x user.n299=323939", long),
	} {
		if got, err := imagetest.Xattrs(filepath.Join(dir, path)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
}
