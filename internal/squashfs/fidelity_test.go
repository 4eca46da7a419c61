package squashfs

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

	"github.com/fledge-build/fledge/internal/imagetest"
)

type entry = imagetest.File

func header(name string, kind byte, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX}
}

func dirEntry(name string, mode int64) entry { return entry{Header: header(name, tar.TypeDir, mode)} }

func fileEntry(name string, mode int64, data string) entry {
	return entry{Header: header(name, tar.TypeReg, mode), Data: data}
}

func linkEntry(name string, kind byte, target string) entry {
	h := header(name, kind, 0o777)
	h.Linkname = target
	return entry{Header: h}
}

func deviceEntry(name string, kind byte, mode, major, minor int64) entry {
	h := header(name, kind, mode)
	h.Devmajor, h.Devminor = major, minor
	return entry{Header: h}
}

func owned(e entry, uid, gid int) entry {
	e.Uid, e.Gid = uid, gid
	return e
}

// withXattrs gives e extended attributes.
func withXattrs(e entry, attrs ...string) entry {
	e.PAXRecords = map[string]string{}
	for i := 0; i < len(attrs); i += 2 {
		e.PAXRecords["SCHILY.xattr."+attrs[i]] = attrs[i+1]
	}
	return e
}

func at(e entry, seconds int64) entry {
	e.ModTime = time.Unix(seconds, 0)
	return e
}

// fileCaps is cap_net_bind_service+ep as the kernel stores it.
const fileCaps = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// everything is two layers with every kind of file, and with every way that the second can change the first.
func everything(t testing.TB, blockSize int) [][]byte {
	base := slices.Concat(regularFiles(blockSize), specialFiles(), filesWithXattrs(), changedFiles)
	return [][]byte{imagetest.Tar(t, base...), imagetest.Tar(t, changes(blockSize)...)}
}

func regularFiles(blockSize int) []entry {
	long := strings.Repeat("n", 255)
	return []entry{
		at(withXattrs(dirEntry("./", 0o755), "user.root", "yes"), 1600000000),
		dirEntry("bin/", 0o755), dirEntry("dev/", 0o755), dirEntry("etc/", 0o755),
		dirEntry("tmp/", 0o1777), dirEntry("var/", 0o2775),

		fileEntry("bin/true", 0o4755, text(1, 5000)),
		fileEntry("bin/secret", 0, "nobody may read this"),
		fileEntry("bin/big", 0o755, text(2, 3*blockSize+17)),
		fileEntry("bin/noise", 0o755, noise(3, 2*blockSize)),
		fileEntry("bin/empty", 0o644, ""),
		fileEntry("bin/exact", 0o644, text(4, blockSize)),
		fileEntry("bin/zeros", 0o644, strings.Repeat("\x00", 4*blockSize+9)),
		fileEntry("bin/holes", 0o644, text(5, blockSize)+strings.Repeat("\x00", 2*blockSize)+noise(6, 100)),
		fileEntry("bin/twin", 0o600, text(1, 5000)),
		fileEntry("bin/big-twin", 0o600, text(2, 3*blockSize+17)),

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

func specialFiles() []entry {
	return []entry{
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

func filesWithXattrs() []entry {
	return []entry{
		withXattrs(fileEntry("bin/caps", 0o755, "caps"), "security.capability", fileCaps),
		withXattrs(fileEntry("bin/attrs", 0o755, "a"), "user.a", "1", "trusted.b", "\x00\xff", "security.c", "d"),
		withXattrs(fileEntry("bin/attrs-too", 0o755, "b"), "user.a", "1", "trusted.b", "\x00\xff", "security.c", "d"),
		withXattrs(fileEntry("bin/long", 0o755, "c"), "user.x", text(7, 2000), "user.y", text(7, 2000)),
		withXattrs(fileEntry("bin/long-too", 0o755, "d"), "user.z", text(7, 2000)),
		withXattrs(deviceEntry("dev/attr", tar.TypeChar, 0o600, 10, 200), "trusted.dev", "1"),
		withXattrs(deviceEntry("dev/pipe-attr", tar.TypeFifo, 0o600, 0, 0), "trusted.pipe", "1"),
		withXattrs(linkEntry("etc/attr", tar.TypeSymlink, "x"), "trusted.link", "1"),
		withXattrs(dirEntry("var/attr/", 0o755), "user.dir", "1"),
	}
}

// changedFiles are what the second layer changes.
var changedFiles = []entry{
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

func changes(blockSize int) []entry {
	return []entry{
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
		fileEntry("etc/again", 0o644, text(1, 5000)), fileEntry("etc/big-again", 0o644, text(2, 3*blockSize+17)),
		fileEntry("bin/holes", 0o644, "filled"),
	}
}

// unpacked has umoci unpack the layers and describes the result.
func unpacked(t testing.TB, layers [][]byte) []string {
	t.Helper()
	var files []string
	for i, data := range layers {
		files = append(files, filepath.Join(t.TempDir(), fmt.Sprintf("%d.tar", i)))
		if err := os.WriteFile(files[i], data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := imagetest.Unpack(t, files...)
	if err != nil {
		t.Fatal(err)
	}
	return imagetest.Describe(t, root)
}

func compare(t *testing.T, what string, want, got []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs from what umoci unpacks (-umoci +image):\n%s", what, diff)
	}
}

// The image holds exactly what umoci unpacks, for the kernel and for unsquashfs, with every compressor and block size.
func TestAgainstUmoci(t *testing.T) {
	imagetest.NeedRoot(t, "umoci")
	for _, tc := range []struct {
		compressor string
		blockSize  int
	}{
		{"zstd", 4096}, {"zstd", 8192}, {"zstd", 64 << 10}, {"zstd", 128 << 10}, {"zstd", 1 << 20},
		{"gzip", 4096}, {"gzip", 128 << 10}, {"xz", 8192}, {"xz", 128 << 10},
		{"lz4", 4096}, {"lz4", 1 << 20}, {"none", 4096}, {"none", 128 << 10},
	} {
		t.Run(fmt.Sprintf("%s %d", tc.compressor, tc.blockSize), func(t *testing.T) {
			layers := everything(t, tc.blockSize)
			want := unpacked(t, layers)
			o := options(t, tc.compressor, tc.blockSize)
			image, stats := link(t, o, packTar(t, o, layers[0]), packTar(t, o, layers[1]))
			if stats.Inodes >= len(want) || stats.Shared == 0 || stats.Dropped.Count != 0 || stats.Clamped != 0 {
				t.Errorf("%d names, but stats %+v", len(want), stats)
			}
			t.Run("kernel", func(t *testing.T) {
				compare(t, "the mounted image", want, imagetest.Describe(t, imagetest.Mount(t, image)))
			})
			t.Run("unsquashfs", func(t *testing.T) {
				compare(t, "what unsquashfs extracts", want, imagetest.Describe(t, unsquash(t, image)))
			})
		})
	}
}

// A second reader, which was written independently of the kernel's and of unsquashfs.
func TestAgainstSquashfsToolsNG(t *testing.T) {
	imagetest.NeedRoot(t, "umoci", "sqfs2tar", "tar")
	layers := everything(t, 128<<10)
	want := unpacked(t, layers)
	o := options(t, "zstd", 128<<10)
	image, _ := link(t, o, packTar(t, o, layers[0]), packTar(t, o, layers[1]))
	archive, dir := filepath.Join(t.TempDir(), "image.tar"), t.TempDir()
	imagetest.Run(t, "sh", "-c", `exec sqfs2tar --root-becomes . "$0" >"$1"`, image, archive)
	imagetest.Run(t, "tar", "-C", dir, "-xpf", archive,
		"--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner")
	compare(t, "what sqfs2tar and tar extract", want, imagetest.Describe(t, dir))
}
