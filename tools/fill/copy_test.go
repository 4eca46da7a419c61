//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// makeTree makes what no layer can have, or what takes too long in an emulated machine.
func makeTree(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	must(os.Chmod(dir, 0o1751))
	must(os.Chown(dir, 12, 34))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path("socket")})
	must(err)
	l.SetUnlinkOnClose(false)
	l.Close()
	must(os.WriteFile(path("first"), []byte("several names"), 0o4750))
	for _, name := range []string{"a", "b", "z"} {
		must(os.Mkdir(path(name), 0o700))
		must(os.Link(path("first"), path(name+"/\xff\xfe\n")))
		must(os.Link(path("socket"), path(name+"/socket")))
	}
	f, err := os.Create(path("holes"))
	must(err)
	for _, at := range []int64{1 << 20, 20 << 20} {
		_, err := f.WriteAt([]byte("data"), at)
		must(err)
	}
	must(f.Truncate(30<<20 + 7))
	must(f.Close())
	must(os.Mkdir(path("many"), 0o755))
	for i := range 20000 {
		must(os.Symlink("x", path(fmt.Sprintf("many/%d", i))))
	}
	must(unix.UtimesNano(path("first"), []unix.Timespec{{Sec: -5, Nsec: 6}, {Sec: 7, Nsec: 8}}))
	must(unix.UtimesNano(path("many"), []unix.Timespec{{Sec: 1, Nsec: 2}, {Sec: 3, Nsec: 4}}))
}

func newTestCopier() *copier { return newCopier(io.Discard, "ext4") }

func TestCopy(t *testing.T) {
	imagetest.NeedRoot(t)
	from, to := t.TempDir(), t.TempDir()
	makeTree(t, from)
	c := newTestCopier()
	if err := c.tree(from, to); err != nil {
		t.Fatal(err)
	}
	want := imagetest.Describe(t, from)
	if diff := cmp.Diff(want, imagetest.Describe(t, to)); diff != "" {
		t.Errorf("the copy differs (-want +got):\n%s", diff)
	}
	if c.entries != int64(len(want)-1) || len(c.links) > 0 || c.dropped.Count > 0 {
		t.Errorf("%d entries of %d, %d hard links open, %+v", c.entries, len(want)-1, len(c.links), c.dropped)
	}
	for _, name := range []string{"first", "many"} {
		var a, b unix.Stat_t
		if unix.Lstat(filepath.Join(from, name), &a) != nil || unix.Lstat(filepath.Join(to, name), &b) != nil || a.Mtim != b.Mtim {
			t.Errorf("%s: time %v, want %v", name, b.Mtim, a.Mtim)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(to, "holes"), &st); err != nil || st.Blocks > 4096/512*4 {
		t.Errorf("a file with 8 bytes of data takes %d blocks of 512, %v", st.Blocks, err)
	}
}

// A file may have more than 4 GiB.
func TestLarge(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	const at, size = 5 << 30, 6<<30 + 7
	f, err := os.Create(filepath.Join(from, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("data"), at); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := newTestCopier().tree(from, to); err != nil {
		t.Fatal(err)
	}
	copied, err := os.Open(filepath.Join(to, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	b := make([]byte, 5)
	if info, err := copied.Stat(); err != nil || info.Size() != size {
		t.Errorf("%d bytes, want %d, %v", info.Size(), size, err)
	}
	if _, err := copied.ReadAt(b, at); err != nil || string(b) != "data\x00" {
		t.Errorf("%q, %v", b, err)
	}
	if first, err := copied.Seek(0, unix.SEEK_DATA); err != nil || first != at {
		t.Errorf("data begins at %d, want %d, %v", first, int64(at), err)
	}
}

// A target that is full is told as that, with the file.
func TestFullTarget(t *testing.T) {
	imagetest.NeedRoot(t)
	from, to := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "file"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", to, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(to, 0)
	for _, kind := range []string{"xfs", "btrfs"} { // with and without room reserved before
		os.Remove(filepath.Join(to, "file"))
		err := newCopier(io.Discard, kind).tree(from, to)
		if err == nil || !strings.HasPrefix(err.Error(), `"/file": copy the data: no space left`) || !failure(err).Full {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}

// A path may be longer than the kernel takes at once.
func TestDeep(t *testing.T) {
	imagetest.NeedRoot(t)
	const depth = 40
	name := strings.Repeat("n", 250)
	from, to := t.TempDir(), t.TempDir()
	dig := func(dir string, each func(fd, level int)) {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for level := range depth {
			each(fd, level)
			next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
			unix.Close(fd)
			if err != nil {
				t.Fatalf("%s: level %d: %v", dir, level, err)
			}
			fd = next
		}
		unix.Close(fd)
	}
	var first unix.Stat_t
	dig(from, func(fd, level int) {
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		if level == 0 {
			if err := os.WriteFile(filepath.Join(from, "file"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		file, err := unix.Open(filepath.Join(from, "file"), unix.O_PATH, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(file)
		if err := unix.Linkat(file, "", fd, "file", unix.AT_EMPTY_PATH); err != nil {
			t.Fatal(err)
		}
	})
	c := newTestCopier()
	if err := c.tree(from, to); err != nil {
		t.Fatal(err)
	}
	dig(to, func(fd, level int) {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, "file", &st, 0); err != nil || st.Nlink != depth || level > 0 && st.Ino != first.Ino {
			t.Errorf("level %d: %d links, inode %d, %v", level, st.Nlink, st.Ino, err)
		}
		first = st
	})
	// os.RemoveAll, which TempDir uses, takes such paths as well.
}

// Attributes that a file system refuses are counted, and the first is told.
func TestDropped(t *testing.T) {
	c := newTestCopier()
	for _, name := range []string{"user.a", "user.b"} {
		c.drop(place{path: "/a\xff"}, name)
	}
	if c.dropped.Count != 2 || c.dropped.Name != "user.a" || c.dropped.Path != `"/a\xff"` {
		t.Errorf("%+v", c.dropped)
	}
}

func TestKindOf(t *testing.T) {
	sysBlock, dev := t.TempDir(), t.TempDir()
	put := func(name string, size int, at int, magic string) {
		b := make([]byte, size)
		copy(b[min(at, size):], magic)
		if err := os.WriteFile(filepath.Join(dev, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(sysBlock, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put("vda", 2048, 0x438, "\x53\xef")
	put("vdb", 1<<17, 0x10040, "_BHRfS_M")
	put("vdc", 1<<17, 0, "")
	put("vdd", 10, 0, "")
	put("sda", 512, 0, "XFSB")
	want := disks{source: filepath.Join(dev, "vda"), target: filepath.Join(dev, "vdb"), kind: "btrfs"}
	if got := lookAtDisks(sysBlock, dev); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	put("vdb", 512, 0, "XFSB")
	if got := lookAtDisks(sysBlock, dev); got.kind != "xfs" {
		t.Errorf("%+v, want xfs", got)
	}
}

func TestFailure(t *testing.T) {
	full := fmt.Errorf("copy: %w", unix.ENOSPC)
	if r := failure(full); !r.Full || r.Failure != "copy: no space left on device" {
		t.Errorf("%+v", r)
	}
	if r := failure(unix.EIO); r.Full {
		t.Errorf("%+v", r)
	}
}
