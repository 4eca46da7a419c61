package imagetest

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func header(name string, kind byte, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX}
}

func dirEntry(name string, mode int64) File { return File{Header: header(name, tar.TypeDir, mode)} }

func fileEntry(name string, mode int64, data string) File {
	return File{Header: header(name, tar.TypeReg, mode), Data: data}
}

// Regular is a file of a layer with the mode 0644.
func Regular(name, data string) File { return fileEntry(name, 0o644, data) }

func linkEntry(name string, kind byte, target string) File {
	h := header(name, kind, 0o777)
	h.Linkname = target
	return File{Header: h}
}

func deviceEntry(name string, kind byte, mode, major, minor int64) File {
	h := header(name, kind, mode)
	h.Devmajor, h.Devminor = major, minor
	return File{Header: h}
}

func owned(e File, uid, gid int) File {
	e.Uid, e.Gid = uid, gid
	return e
}

// withXattrs gives e extended attributes.
func withXattrs(e File, attrs ...string) File {
	e.PAXRecords = map[string]string{}
	for i := 0; i < len(attrs); i += 2 {
		e.PAXRecords["SCHILY.xattr."+attrs[i]] = attrs[i+1]
	}
	return e
}

func at(e File, seconds int64) File {
	e.ModTime = time.Unix(seconds, 0)
	return e
}

// FileCaps is the value of security.capability that gives cap_net_bind_service+ep as the kernel stores it.
const FileCaps = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Everything is two layers with every kind of file, and with every way that the second can change the first.
func Everything(t testing.TB, blockSize int) [][]byte {
	base := slices.Concat(regularFiles(blockSize), specialFiles(), filesWithXattrs(), changedFiles)
	return [][]byte{Tar(t, base...), Tar(t, changes(blockSize)...)}
}

func regularFiles(blockSize int) []File {
	long := strings.Repeat("n", 255)
	return []File{
		at(withXattrs(dirEntry("./", 0o755), "user.root", "yes"), 1600000000),
		dirEntry("bin/", 0o755), dirEntry("dev/", 0o755), dirEntry("etc/", 0o755),
		dirEntry("tmp/", 0o1777), dirEntry("var/", 0o2775),

		fileEntry("bin/true", 0o4755, Text(1, 5000)),
		fileEntry("bin/secret", 0, "nobody may read this"),
		fileEntry("bin/big", 0o755, Text(2, 3*blockSize+17)),
		fileEntry("bin/noise", 0o755, Noise(3, 2*blockSize)),
		fileEntry("bin/empty", 0o644, ""),
		fileEntry("bin/exact", 0o644, Text(4, blockSize)),
		fileEntry("bin/zeros", 0o644, strings.Repeat("\x00", 4*blockSize+9)),
		fileEntry("bin/holes", 0o644, Text(5, blockSize)+strings.Repeat("\x00", 2*blockSize)+Noise(6, 100)),
		fileEntry("bin/twin", 0o600, Text(1, 5000)),
		fileEntry("bin/big-twin", 0o600, Text(2, 3*blockSize+17)),

		owned(fileEntry("etc/high", 0o640, "high"), 4294967294, 4294967294),
		owned(fileEntry("etc/mixed", 0o640, "mixed"), 1000, 65536),
		owned(dirEntry("var/own/", 0o700), 33, 34),
		owned(linkEntry("var/link", tar.TypeSymlink, "own"), 33, 34),
		at(fileEntry("etc/epoch", 0o644, "0"), 0),
		at(fileEntry("etc/last", 0o644, "2106"), 1<<32-1),

		fileEntry("etc/"+long, 0o644, "255 bytes of name"),
		dirEntry(long+"/", 0o711), fileEntry(long+"/"+long, 0o644, "deep"),
		fileEntry("etc/\xff\x80 not\nUTF-8\\", 0o644, "bytes"),
		fileEntry("etc/grüße", 0o644, "UTF-8"),
	}
}

func specialFiles() []File {
	return []File{
		linkEntry("bin/true-too", tar.TypeLink, "bin/true"),
		linkEntry("etc/true-three", tar.TypeLink, "./bin/true"),
		linkEntry("etc/sh", tar.TypeSymlink, "../bin/true"),
		linkEntry("etc/sh-too", tar.TypeLink, "etc/sh"),
		linkEntry("etc/gone", tar.TypeSymlink, "/nothing/\xff\xfe"),
		linkEntry("etc/far", tar.TypeSymlink, strings.Repeat("d/", 2000)),
		linkEntry("run", tar.TypeSymlink, "/var"),

		deviceEntry("dev/null", tar.TypeChar, 0o666, 1, 3),
		deviceEntry("dev/sda", tar.TypeBlock, 0o660, 8, 300),
		deviceEntry("dev/far", tar.TypeChar, 0o600, 4095, 1<<20-1),
		deviceEntry("dev/pipe", tar.TypeFifo, 0o622, 0, 0),
		linkEntry("dev/pipe-too", tar.TypeLink, "dev/pipe"),
		linkEntry("dev/zero", tar.TypeLink, "dev/null"),
	}
}

func filesWithXattrs() []File {
	return []File{
		withXattrs(fileEntry("bin/caps", 0o755, "caps"), "security.capability", FileCaps),
		withXattrs(fileEntry("bin/attrs", 0o755, "a"), "user.a", "1", "trusted.b", "\x00\xff", "security.c", "d"),
		withXattrs(fileEntry("bin/attrs-too", 0o755, "b"), "user.a", "1", "trusted.b", "\x00\xff", "security.c", "d"),
		withXattrs(fileEntry("bin/long", 0o755, "c"), "user.x", Text(7, 2000), "user.y", Text(7, 2000)),
		withXattrs(fileEntry("bin/long-too", 0o755, "d"), "user.z", Text(7, 2000)),
		withXattrs(deviceEntry("dev/attr", tar.TypeChar, 0o600, 10, 200), "trusted.dev", "1"),
		withXattrs(deviceEntry("dev/pipe-attr", tar.TypeFifo, 0o600, 0, 0), "trusted.pipe", "1"),
		withXattrs(linkEntry("etc/attr", tar.TypeSymlink, "x"), "trusted.link", "1"),
		withXattrs(dirEntry("var/attr/", 0o755), "user.dir", "1"),
	}
}

// changedFiles are what the second layer changes.
var changedFiles = []File{
	dirEntry("old/", 0o755), fileEntry("old/a", 0o644, "a"), dirEntry("old/s/", 0o700), fileEntry("old/s/b", 0o644, "b"),
	dirEntry("opaque/", 0o755), fileEntry("opaque/a", 0o644, "a"),
	dirEntry("opaque/s/", 0o755), fileEntry("opaque/s/b", 0o644, "b"),
	fileEntry("etc/changed", 0o644, "before"), fileEntry("etc/removed", 0o644, "removed"),
	dirEntry("etc/dir2file/", 0o755), fileEntry("etc/dir2file/x", 0o644, "x"),
	fileEntry("etc/file2dir", 0o644, "x"), linkEntry("etc/link2dir", tar.TypeSymlink, "../old"),
	fileEntry("etc/kept", 0o644, "kept under another name"), linkEntry("etc/kept-too", tar.TypeLink, "etc/kept"),
	fileEntry("etc/linked", 0o644, "linked by the next layer"),
	dirEntry("etc/chmod/", 0o755), fileEntry("etc/chmod/x", 0o644, "x"),
}

func changes(blockSize int) []File {
	return []File{
		dirEntry("etc/", 0o751),
		at(withXattrs(dirEntry("etc/chmod/", 0o700), "user.new", "1"), 1650000000),
		fileEntry("etc/.wh.removed", 0, ""), fileEntry("etc/.wh.never-there", 0, ""), fileEntry(".wh.old", 0, ""),
		// The opaque whiteout comes first because umoci changes the time of opaque/s when it comes later.
		dirEntry("opaque/", 0o700), fileEntry("opaque/.wh..wh..opq", 0, ""), dirEntry("opaque/s/", 0o711),
		fileEntry("opaque/s/new", 0o644, "new"),
		fileEntry("etc/changed", 0o600, "after"), fileEntry("etc/dir2file", 0o644, "now a file"),
		dirEntry("etc/file2dir/", 0o755), fileEntry("etc/file2dir/y", 0o644, "y"),
		dirEntry("etc/link2dir/", 0o755), fileEntry("etc/link2dir/z", 0o644, "z"),
		fileEntry("etc/.wh.kept", 0, ""), linkEntry("etc/linked-too", tar.TypeLink, "etc/linked"),
		fileEntry("etc/own", 0o644, "own"), fileEntry("etc/.wh.own", 0, ""), // a whiteout spares its own layer
		fileEntry("run/through", 0o644, "through a symlink"),
		fileEntry("etc/again", 0o644, Text(1, 5000)), fileEntry("etc/big-again", 0o644, Text(2, 3*blockSize+17)),
		fileEntry("bin/holes", 0o644, "filled"),
	}
}

// Unpacked has umoci unpack the layers and describes the result.
func Unpacked(t testing.TB, layers [][]byte) []string {
	t.Helper()
	var files []string
	for i, data := range layers {
		files = append(files, filepath.Join(t.TempDir(), fmt.Sprintf("%d.tar", i)))
		if err := os.WriteFile(files[i], data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := Unpack(t, files...)
	if err != nil {
		t.Fatal(err)
	}
	return Describe(t, root)
}

// Compare tells how what is in an image differs from what has to be there: two results of Describe.
func Compare(t testing.TB, what string, want, got []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +image):\n%s", what, diff)
	}
}

// Noise is data that does not compress.
func Noise(seed, size int) string {
	b := make([]byte, size)
	x := uint64(seed)*2862933555777941757 + 3037000493
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return string(b)
}

// Text is data that compresses.
func Text(seed, size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d of file %d: %d\n", i, seed, i*i%977)
	}
	return b.String()[:size]
}
