package layerpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fuzztest"
)

func TestTarEntries(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	pax := func(records map[string]string) *tar.Header {
		h := header(0, "pax", "")
		h.PAXRecords = records
		return h
	}
	meta := func(f func(h *tar.Header)) *tar.Header {
		h := header(tar.TypeDir, "meta/", "")
		f(h)
		return h
	}
	reg := func(path string) fstree.Entry {
		return fstree.Entry{Path: path, Type: fstree.Regular, Mode: 0o644, ModTime: 1700000000}
	}
	with := func(e fstree.Entry, f func(e *fstree.Entry)) fstree.Entry {
		if e.Type != fstree.Regular {
			e.Content = fstree.NoContent
		}
		f(&e)
		return e
	}
	other := fstree.Entry{Mode: 0o644, ModTime: 1700000000, Content: fstree.NoContent}
	for _, c := range []struct {
		name string
		h    *tar.Header
		want fstree.Entry
	}{
		{"dot slash", header(0, "./usr//bin/./x", ""), reg("usr/bin/x")},
		{"long name", header(0, long, ""), reg(long)},
		{"bytes that are not UTF-8", &tar.Header{Typeflag: tar.TypeReg, Name: "\xff\x80", Format: tar.FormatGNU,
			Mode: 0o644, ModTime: time.Unix(1700000000, 0)}, reg("\xff\x80")},
		{"mode with type bits", meta(func(h *tar.Header) { h.Mode = 0o43775; h.Format = tar.FormatGNU }),
			with(other, func(e *fstree.Entry) { e.Path, e.Type, e.Mode = "meta", fstree.Directory, 0o3775 })},
		{"root", header(tar.TypeDir, "./", ""),
			with(other, func(e *fstree.Entry) { e.Path, e.Type = ".", fstree.Directory })},
		{"root of kaniko", header(tar.TypeDir, "/", ""),
			with(other, func(e *fstree.Entry) { e.Path, e.Type = ".", fstree.Directory })},
		{"32 bit ids", meta(func(h *tar.Header) { h.Uid, h.Gid = math.MaxUint32-1, 1<<31 }),
			with(other, func(e *fstree.Entry) {
				e.Path, e.Type, e.UID, e.GID = "meta", fstree.Directory, math.MaxUint32-1, 1<<31
			})},
		{"time before 1970, rounded down", meta(func(h *tar.Header) { h.ModTime = time.Unix(-5, 5e8); h.Format = tar.FormatPAX }),
			with(other, func(e *fstree.Entry) { e.Path, e.Type, e.ModTime = "meta", fstree.Directory, -5 })},
		{"symlink as it is", header(tar.TypeSymlink, "l", "/../..//x/"),
			with(other, func(e *fstree.Entry) { e.Path, e.Type, e.Link = "l", fstree.Symlink, "/../..//x/" })},
		{"hard link", header(tar.TypeLink, "l", "./a//b"),
			with(other, func(e *fstree.Entry) { e.Path, e.Type, e.Link = "l", fstree.HardLink, "a/b" })},
		{"fifo", header(tar.TypeFifo, "p", ""), with(other, func(e *fstree.Entry) { e.Path, e.Type = "p", fstree.FIFO })},
		{"device", &tar.Header{Typeflag: tar.TypeBlock, Name: "b", Devmajor: 259, Devminor: 1 << 18, Mode: 0o644,
			ModTime: time.Unix(1700000000, 0)},
			with(other, func(e *fstree.Entry) {
				e.Path, e.Type, e.Major, e.Minor = "b", fstree.BlockDevice, 259, 1<<18
			})},
		{"xattrs", pax(map[string]string{
			"SCHILY.xattr.user.b": "\x00\n=", "SCHILY.xattr.user.a%25": "1", "LIBARCHIVE.xattr.user.a": "Mg", "comment": "x"}),
			with(reg("pax"), func(e *fstree.Entry) {
				e.Xattrs = []fstree.Xattr{{Name: "user.a%25", Value: []byte("1")}, {Name: "user.b", Value: []byte("\x00\n=")}}
			})},
		{"xattrs of libarchive", pax(map[string]string{"LIBARCHIVE.xattr.user.c%3D%25": "AAE=", "LIBARCHIVE.xattr.user.d": ""}),
			with(reg("pax"), func(e *fstree.Entry) {
				e.Xattrs = []fstree.Xattr{{Name: "user.c=%", Value: []byte{0, 1}}, {Name: "user.d", Value: []byte{}}}
			})},
	} {
		t.Run(c.name, func(t *testing.T) {
			global := &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "of git"}}
			r, err := packTar(t, options(t, "none"), archive(t, global, c.h))
			if err != nil {
				t.Fatal(err)
			}
			var got []fstree.Entry
			for e := range r.Entries() {
				got = append(got, e)
			}
			if diff := cmp.Diff([]fstree.Entry{c.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// patch changes the first header of an archive and corrects its checksum.
func patch(b []byte, at int, s string) []byte {
	b = slices.Clone(b)
	copy(b[at:], s)
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:blockTar] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func TestTarErrors(t *testing.T) {
	good := archive(t, header(0, "good", ""), header(0, "second", ""))
	one := func(typ byte, name, link string) []byte { return archive(t, header(typ, name, link)) }
	ids := header(0, "ids", "")
	ids.Uid, ids.Format = -1, tar.FormatGNU
	bigID := header(0, "ids", "")
	bigID.Gid, bigID.Format = 1<<32, tar.FormatGNU
	noID := header(0, "ids", "")
	noID.Uid, noID.Format = math.MaxUint32, tar.FormatGNU
	badXattr := header(0, "x", "")
	badXattr.PAXRecords = map[string]string{"LIBARCHIVE.xattr.user.a": "?"}
	for _, c := range []struct {
		name, want string
		archive    []byte
	}{
		{"climbs", `entry "../x": the name has a ".."`, one(0, "../x", "")},
		{"climbs inside", `entry "a/../../x": the name has a ".."`, one(0, "a/../../x", "")},
		{"absolute", `entry "/etc/x": the name is absolute`, one(0, "/etc/x", "")},
		{"two slashes", `entry "//": the name is absolute`, one(tar.TypeDir, "//", "")},
		{"empty", `entry "": the name is empty`, one(tar.TypeFifo, "", "")},
		{"NUL in a PAX name", "before the first entry|invalid tar header", paxName(t, "a\x00b")},
		{"file as root", `entry "./.": the root is not a directory`, one(0, "./.", "")},
		{"hard link climbs", `entry "l": hard link target "../x": the name has a ".."`, one(tar.TypeLink, "l", "../x")},
		{"hard link absolute", `entry "l": hard link target "/x": the name is absolute`, one(tar.TypeLink, "l", "/x")},
		{"hard link to nothing", `entry "l": hard link target "": the name is empty`, one(tar.TypeLink, "l", "")},
		{"symlink to nothing", `entry "l": symlink target is empty`, one(tar.TypeSymlink, "l", "")},
		{"negative uid", `entry "ids": uid -1 does not fit`, archive(t, ids)},
		{"large gid", `entry "ids": gid 4294967296 does not fit`, archive(t, bigID)},
		{"no uid", `entry "ids": uid 4294967295 is no owner to Linux`, archive(t, noID)},
		{"xattr", `entry "x": PAX record "LIBARCHIVE.xattr.user.a"`, archive(t, badXattr)},
		{"unknown type", `entry "good": unknown type 'V'`, patch(good, 156, "V")},
		{"long name element", "Linux allows 255", one(0, "d/"+strings.Repeat("n", 256), "")},
		{"checksum", "before the first entry|invalid tar header", slices.Concat([]byte("G"), good[1:])},
		{"second checksum", `after entry "good"|invalid tar header`,
			slices.Concat(good[:1024], []byte("S"), good[1025:])},
		{"lying size", `entry "good": the tar archive is cut off`, patch(good, 124, "00000007777")},
		{"negative size", "invalid tar header", patch(good, 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
		{"cut in a header", `after entry "good": the tar archive is cut off`, good[:1100]},
		{"cut in data", `entry "second": the tar archive is cut off`, good[:1538]},
		{"cut between entries", `after entry "good": the tar archive is cut off: it has no end mark at byte 1024`, good[:1024]},
		{"cut before the end mark", `after entry "second": the tar archive is cut off`, good[:2048]},
		{"empty", "before the first entry: the tar archive is cut off", nil},
		{"garbage", `after entry "second": data behind the end`, slices.Concat(good, make([]byte, 5000), []byte("x"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := packTar(t, options(t, "none"), c.archive)
			wantError(t, err, c.want)
		})
	}
}

// paxName is an archive whose only entry has a name that package tar would refuse to write.
func paxName(t *testing.T, name string) []byte {
	h := header(0, "placeholder", "")
	h.PAXRecords = map[string]string{"comment": strings.Repeat("c", len(name)+len("path")-len("comment"))}
	b := archive(t, h)
	old := "comment=" + h.PAXRecords["comment"]
	b = bytes.Replace(b, []byte(old), []byte("path=" + name + "   ")[:len(old)], 1)
	return b
}

func TestTarEnds(t *testing.T) {
	good := archive(t, header(0, "good", ""))
	for name, b := range map[string][]byte{
		"one block of zeros": good[:len(good)-512],
		"padded":             slices.Concat(good, make([]byte, 10240)),
		"padded unevenly":    slices.Concat(good, make([]byte, 7)),
		"no entries":         make([]byte, 1024),
	} {
		if _, err := packTar(t, options(t, "none"), b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := create(t)
	r := iotest.DataErrReader(bytes.NewReader(good))
	if _, err := PackTar(context.Background(), r, f, options(t, "none")); err != nil {
		t.Errorf("end with the data: %v", err)
	}
}

func TestTarStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	good := archive(t, header(0, "good", ""))
	if _, err := PackTar(ctx, bytes.NewReader(good), create(t), options(t, "none")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	r := iotest.TimeoutReader(bytes.NewReader(good))
	if _, err := PackTar(context.Background(), r, create(t), options(t, "none")); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("error %v, want the reader's", err)
	}
}

func TestMaxUnpacked(t *testing.T) {
	o := options(t, "none")
	if _, err := packTarUpTo(t, o, archive(t, header(0, "12345", ""), header(0, "67890", "")), 10); err != nil {
		t.Error(err)
	}
	_, err := packTarUpTo(t, o, archive(t, header(0, "12345", ""), header(0, "678901", "")), 10)
	wantError(t, err, `entry "678901": the files so far have more than 10 bytes|--max-unpacked-size`)
}

// TestPeerTars packs what GNU tar and bsdtar make of a folder, in all of their dialects.
func TestPeerTars(t *testing.T) {
	dir := t.TempDir()
	want := fillFolder(t, dir)
	for _, args := range [][]string{
		{"tar", "--format=v7"}, {"tar", "--format=ustar"}, {"tar", "--format=gnu"}, {"tar", "--format=oldgnu", "-S"},
		{"tar", "--format=gnu", "-S"}, {"tar", "--format=posix"},
		{"tar", "--format=posix", "-S", "--sparse-version=0.0"}, {"tar", "--format=posix", "-S", "--sparse-version=0.1"},
		{"tar", "--format=posix", "-S", "--sparse-version=1.0"},
		{"bsdtar", "--format=pax"}, {"bsdtar", "--format=gnutar"}, {"bsdtar", "--format=ustar"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Skipf("%s is not installed", args[0])
			}
			path := filepath.Join(t.TempDir(), "x.tar")
			cmd := exec.Command(args[0], append(args[1:], "-cf", path, "-C", dir, ".")...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("%v: %s", err, out)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := packTar(t, options(t, "zstd"), b)
			if err != nil {
				t.Fatal(err)
			}
			checkFolder(t, r, want)
		})
	}
}

// fillFolder makes files in dir and returns their contents by path.
func fillFolder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	hole := make([]byte, 600<<10)
	copy(hole[300<<10:], "in the middle")
	want := map[string][]byte{
		"plain": text(1, 10000), "empty": {}, "sub/f\xfcr": noise(1, 3*codec.MinBlockSize),
		"hole": hole, "zeros": make([]byte, 200<<10),
	}
	for name, data := range want {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Skipf("no name that is not UTF-8 here: %v", err)
		}
		if _, err := f.WriteAt(bytes.TrimLeft(data, "\x00"), int64(len(data)-len(bytes.TrimLeft(data, "\x00")))); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(int64(len(data))), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("/nowhere/../x", filepath.Join(dir, "sym")),
		os.Link(filepath.Join(dir, "plain"), filepath.Join(dir, "sub/hard"))); err != nil {
		t.Fatal(err)
	}
	return want
}

// checkFolder compares a pack with what fillFolder made.
func checkFolder(t *testing.T, r *Reader, want map[string][]byte) {
	t.Helper()
	data, links := map[string][]byte{}, map[string]string{}
	for e := range r.Entries() {
		switch e.Type {
		case fstree.Regular:
			data[e.Path] = content(t, r, e.Content)
		case fstree.HardLink, fstree.Symlink:
			links[e.Path] = e.Link
		}
	}
	// Either name of a hard link may come first.
	if target := links["plain"]; target == "sub/hard" {
		data["plain"], links["sub/hard"] = data[target], "plain"
		delete(data, target)
		delete(links, "plain")
	}
	if !maps.EqualFunc(want, data, bytes.Equal) {
		t.Errorf("contents differ in %v", slices.Sorted(maps.Keys(data)))
	}
	if diff := cmp.Diff(map[string]string{"sym": "/nowhere/../x", "sub/hard": "plain"}, links); diff != "" {
		t.Error(diff)
	}
}

// TestPeerXattrs needs a file system that keeps extended attributes of users.
func TestPeerXattrs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	value := []byte("binary\x00\n\xff=")
	if err := unix.Setxattr(path, "user.fledge", value, 0); err != nil {
		t.Skipf("no xattrs here: %v", err)
	}
	for _, args := range [][]string{{"tar", "--format=posix", "--xattrs"}, {"bsdtar", "--format=pax", "--xattrs"}} {
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Logf("%s is not installed", args[0])
			continue
		}
		out, err := exec.Command(args[0], append(args[1:], "-cf", "-", "-C", dir, "f")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		r, err := packTar(t, options(t, "none"), out)
		if err != nil {
			t.Fatal(err)
		}
		for e := range r.Entries() {
			if diff := cmp.Diff([]fstree.Xattr{{Name: "user.fledge", Value: value}}, e.Xattrs); diff != "" {
				t.Errorf("%v: %s", args, diff)
			}
		}
	}
}

func FuzzPackTar(f *testing.F) {
	hard := header(tar.TypeLink, "h", "good")
	xattr := header(0, "x", "")
	xattr.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "1"}
	f.Add(archive(f, header(0, "good", ""), hard, xattr, header(tar.TypeSymlink, "s", "..")))
	f.Add(archive(f, header(0, "\xff", ""), header(tar.TypeBlock, "b", ""), header(tar.TypeDir, "./", "")))
	o := options(f, "none")
	o.Jobs = 1
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Limit(t, 32<<20+100*len(b), func() {
			if r, err := packTarUpTo(t, o, b, 1<<20); err == nil {
				r.Close()
			}
		})
	})
}
