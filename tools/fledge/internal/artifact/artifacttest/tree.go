// Package artifacttest makes file trees for tests of readers, and tells of artifacts what package imagetest tells of
// file trees.
package artifacttest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// Text is n bytes that compress.
func Text(seed, n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of file %d: %d\n", i, seed, i*i%977)
	}
	return b.Bytes()[:n]
}

// Noise is n bytes that do not compress.
func Noise(seed, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// Describe tells the same of an artifact as imagetest.Tree does of a file tree.
func Describe(t testing.TB, a artifact.Artifact, xattrs bool) []string {
	t.Helper()
	var lines []string
	first := map[uint64]string{}
	for e, err := range a.Walk(".") {
		if err != nil {
			t.Fatal(err)
		}
		mode := map[fstree.Type]uint32{
			fstree.Regular: unix.S_IFREG, fstree.Directory: unix.S_IFDIR, fstree.Symlink: unix.S_IFLNK,
			fstree.CharDevice: unix.S_IFCHR, fstree.BlockDevice: unix.S_IFBLK, fstree.FIFO: unix.S_IFIFO,
			fstree.Socket: unix.S_IFSOCK,
		}[e.Type] | uint32(e.Mode)
		line := fmt.Sprintf("%q %06o %d:%d %d", e.Path, mode, e.UID, e.GID, e.ModTime)
		if e.Type != fstree.Directory {
			if _, ok := first[e.Inode]; !ok {
				first[e.Inode] = e.Path
			}
			line += fmt.Sprintf(" links %d %q", e.Links, first[e.Inode])
		}
		line += " " + special(t, a, e)
		if xattrs {
			var list []string
			for _, x := range e.Xattrs {
				list = append(list, fmt.Sprintf("%s=%x", x.Name, x.Value))
			}
			slices.Sort(list)
			line += " " + strings.Join(list, " ")
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

func special(t testing.TB, a artifact.Artifact, e *artifact.Entry) string {
	t.Helper()
	switch {
	case e.Type == fstree.Symlink:
		return fmt.Sprintf("-> %q", e.Target)
	case e.IsDevice():
		return fmt.Sprintf("%d:%d", e.Major, e.Minor)
	case e.Type != fstree.Regular:
		return ""
	}
	r, err := a.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := a.Digest(e)
	if err != nil || !bytes.Equal(digest[:], h.Sum(nil)) {
		t.Errorf("%q: digest %x, content has %x, error %v", e.Path, digest, h.Sum(nil), err)
	}
	return fmt.Sprintf("%d bytes %x", n, digest)
}

// Tree makes a file tree with everything in it that an image can hold, at a new folder. It needs root.
func Tree(t testing.TB) string {
	t.Helper()
	imagetest.NeedRoot(t)
	m := maker{t, filepath.Join(t.TempDir(), "tree")}
	m.do(os.Mkdir(m.dir, 0o755))
	for _, dir := range []string{"empty", "big", "deep/er/and/deeper", "dev", "sticky"} {
		m.do(os.MkdirAll(m.path(dir), 0o755))
	}
	m.do(os.Chmod(m.path("sticky"), 0o777|os.ModeSticky))
	for i := range 1200 {
		m.file(fmt.Sprintf("big/a file with a rather long name %d", i), []byte(fmt.Sprint(i)))
	}
	m.file("empty file", nil)
	m.file("text", Text(1, 300_000))
	m.file("same text", Text(1, 300_000))
	m.file("noise", Noise(1, 200_000))
	m.file("code", slices.Concat(readSelf(t), Text(3, 5)))
	m.file("one block", Text(2, 128<<10))
	m.file("deep/er/and/deeper/file", Text(4, 5000))
	m.file("not UTF-8 \xff\xfe", []byte("x"))
	m.file("new\nline and\ttab # = \\ [*]?", []byte("y"))
	m.file(strings.Repeat("n", 255), []byte("long"))
	m.file("setuid", []byte("z"))
	m.do(os.Lchown(m.path("setuid"), 70_000, 4_000_000_000))
	m.do(unix.Chmod(m.path("setuid"), 0o4711))
	m.file("no mode", []byte("m"))
	m.do(unix.Chmod(m.path("no mode"), 0))
	m.do(os.Symlink("../somewhere = else # \\ [*]?\n\xff", m.path("link")))
	m.do(os.Symlink(strings.Repeat("long/", 200), m.path("long link")))
	m.file("hard 1", Text(5, 1000))
	m.do(os.Link(m.path("hard 1"), m.path("hard 2")))
	m.do(os.Link(m.path("hard 1"), m.path("deep/hard 3")))
	m.do(os.Link(m.path("link"), m.path("second link")))
	m.do(unix.Mknod(m.path("dev/char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1234, 567_890))))
	m.do(unix.Mknod(m.path("dev/block"), unix.S_IFBLK|0o660, int(unix.Mkdev(8, 1))))
	m.do(unix.Mkfifo(m.path("dev/fifo"), 0o640))
	m.do(unix.Mknod(m.path("dev/socket"), unix.S_IFSOCK|0o755, 0))
	m.sparse()
	m.times()
	return m.dir
}

// Xattrs adds extended attributes to a tree that Tree made.
func Xattrs(t testing.TB, dir string) {
	t.Helper()
	m := maker{t, dir}
	large := Text(9, 3000)
	for _, name := range []string{"text", "dev/char", "empty", "hard 1", "deep", "link"} {
		m.do(unix.Lsetxattr(m.path(name), "trusted.large", large, 0))
		m.do(unix.Lsetxattr(m.path(name), "security.name", []byte(name), 0))
	}
	m.do(unix.Lsetxattr(m.path("text"), "user.empty", nil, 0))
	m.do(unix.Lsetxattr(m.path("big"), "user.\xff", []byte("\x00\xff"), 0))
	m.do(unix.Lsetxattr(m.path("dev/fifo"), "trusted.x", []byte("fifo"), 0))
	m.times()
}

type maker struct {
	t   testing.TB
	dir string
}

func (m *maker) path(name string) string { return filepath.Join(m.dir, name) }

func (m *maker) do(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *maker) file(name string, data []byte) {
	m.t.Helper()
	m.do(os.WriteFile(m.path(name), data, 0o644))
}

// sparse makes files with holes: in the middle, at the end, and nothing but a hole.
func (m *maker) sparse() {
	m.t.Helper()
	for name, size := range map[string]int64{"hole in the middle": 3 << 20, "hole at the end": 1<<20 + 77, "hole": 5 << 20} {
		f, err := os.Create(m.path(name))
		m.do(err)
		m.do(f.Truncate(size))
		if name != "hole" {
			_, err = f.WriteAt(Text(7, 200_000), 0)
			m.do(err)
		}
		if name == "hole in the middle" {
			_, err = f.WriteAt(Text(8, 5000), size-5000)
			m.do(err)
		}
		m.do(f.Close())
	}
}

// times gives everything a time of its own. Symlinks are read once, as mksquashfs takes names of one inode for different
// ones when it changes the time of the last access itself.
func (m *maker) times() {
	m.t.Helper()
	var paths []string
	m.do(filepath.WalkDir(m.dir, func(path string, _ os.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	for i, path := range paths {
		at := time.Date(2021, 3, 4, 5, 6, i, 0, time.UTC).UnixNano()
		ts := []unix.Timespec{unix.NsecToTimespec(at), unix.NsecToTimespec(at)}
		m.do(unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
	}
	time.Sleep(20 * time.Millisecond) // the file system's clock has to go on, or each access sets the time anew
	for _, path := range paths {
		os.Readlink(path)
	}
}

// Squashfs has mksquashfs make an image of a tree and gives its name. It needs root.
func Squashfs(t testing.TB, dir string, args ...string) string {
	t.Helper()
	imagetest.NeedRoot(t, "mksquashfs")
	name := filepath.Join(t.TempDir(), "test.img")
	imagetest.Run(t, "mksquashfs", append([]string{dir, name, "-no-progress", "-quiet"}, args...)...)
	return name
}

// CPIO has cpio make an archive of a tree in a format, newc or crc, and gives its name. It needs root.
func CPIO(t testing.TB, dir, format string) string {
	t.Helper()
	imagetest.NeedRoot(t, "cpio")
	name := filepath.Join(t.TempDir(), "test.cpio")
	imagetest.Run(t, "sh", "-c", `cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H "$2" >"$3"`,
		"sh", dir, format, name)
	return name
}

// readSelf is machine code: the first 700 KB of the test's own program.
func readSelf(t testing.TB) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 700_000)
	if _, err := io.ReadFull(f, b); err != nil {
		t.Fatal(err)
	}
	return b
}
