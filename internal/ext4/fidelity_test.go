package ext4

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// more is a layer with what ext4 can hold beyond what imagetest.Everything has, which is made for all file systems.
func more(t testing.TB) []byte {
	file := func(name string, kind byte, mode, seconds int64, xattrs ...string) imagetest.File {
		h := tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(seconds, 0), Format: tar.FormatPAX}
		h.PAXRecords = map[string]string{}
		for i := 0; i < len(xattrs); i += 2 {
			h.PAXRecords["SCHILY.xattr."+xattrs[i]] = xattrs[i+1]
		}
		return imagetest.File{Header: h}
	}
	files := []imagetest.File{
		file("./", tar.TypeDir, 0o755, 1600000000, "user.root", "yes"),
		file("xattrs/", tar.TypeDir, 0o755, 1), file("times/", tar.TypeDir, 0o755, 1),
		file("acl/", tar.TypeDir, 0o770, 1, "system.posix_acl_access", acl(1, 7, 0, 2, 5, 1000, 4, 5, 0, 16, 7, 0, 32, 0, 0),
			"system.posix_acl_default", acl(1, 7, 0, 4, 5, 0, 8, 6, 70000, 16, 7, 0, 32, 0, 0)),
		file("acl/file", tar.TypeReg, 0o674, 1, "system.posix_acl_access",
			acl(1, 6, 0, 2, 7, 1, 2, 0, 2, 4, 4, 0, 8, 7, 1, 16, 7, 0, 32, 4, 0),
			"user.with", strings.Repeat("a block of its own", 9)),
		file("xattrs/bytes", tar.TypeReg, 0o644, 1, "user.\xff\xfe", "name"),
		file("xattrs/name", tar.TypeReg, 0o644, 1, "user."+strings.Repeat("n", 250), "long name", "user.b", "short"),
		file("xattrs/full", tar.TypeReg, 0o644, 1, "user.full", imagetest.Noise(9, 4096-32-4-16-4), "user.in", "inode"),
	}
	for name, kind := range map[string]byte{"link": tar.TypeSymlink, "fifo": tar.TypeFifo, "char": tar.TypeChar} {
		f := file("xattrs/"+name, kind, 0o777, 1, "trusted.in", "inode", "trusted.block", imagetest.Text(3, 500))
		if kind == tar.TypeSymlink {
			f.Linkname = "short"
		}
		files = append(files, f)
	}
	for _, seconds := range []int64{-1 << 31, -1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<33 - 1} {
		files = append(files, file(fmt.Sprintf("times/%d", seconds), tar.TypeReg, 0o644, seconds))
	}
	return imagetest.Tar(t, files...)
}

// acl is an ACL as programs see it, of triples of tag, permissions and id; the id of unnamed entries does not count.
func acl(triples ...uint32) string {
	b := le.AppendUint32(nil, aclVersion)
	for i := 0; i < len(triples); i += 3 {
		id := triples[i+2]
		if tag := triples[i]; tag != aclUser && tag != aclGroup {
			id = 1<<32 - 1 // as the kernel gives it
		}
		b = le.AppendUint16(le.AppendUint16(b, uint16(triples[i])), uint16(triples[i+1]))
		b = le.AppendUint32(b, id)
	}
	return string(b)
}

// The image holds exactly what umoci unpacks, for the kernel, with packs of every codec and with and without a journal.
func TestAgainstUmoci(t *testing.T) {
	imagetest.NeedRoot(t, "umoci")
	for _, tc := range []struct {
		settings
		Options
	}{
		{settings{"none", 4096}, Options{}}, {settings{"none", 128 << 10}, Options{Journal: true}},
		{settings{"zstd", 128 << 10}, Options{}}, {settings{"lz4", 64 << 10}, Options{SizeBuffer: 1}},
		{settings{"gzip", 4096}, Options{}}, {settings{"xz", 8192}, Options{}}, {settings{"zstd", 1 << 20}, Options{}},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			layers := append(imagetest.Everything(t, tc.blockSize), more(t))
			want := imagetest.Unpacked(t, layers)
			image, stats := link(t, tc.Options, packTar(t, tc.settings, layers[0]),
				packTar(t, tc.settings, layers[1]), packTar(t, tc.settings, layers[2]))
			if stats.Inodes >= len(want) || stats.Dropped.Count != 0 || stats.Clamped != 0 {
				t.Errorf("%d names, but stats %+v", len(want), stats)
			}
			imagetest.Compare(t, "the mounted image", want, imagetest.Describe(t, mount(t, "ro", image)))
		})
	}
}

// A guest can use the image: write, make large directories, link, remove, fill the free space.
func TestWritable(t *testing.T) {
	imagetest.NeedRoot(t)
	for _, journal := range []bool{false, true} {
		layers := imagetest.Everything(t, 4096)
		o := Options{Journal: journal, SizeBuffer: 32}
		image, stats := link(t, o, packTar(t, plain, layers[0]), packTar(t, plain, layers[1]))
		t.Run("mounted", func(t *testing.T) {
			dir := mount(t, "rw", image)
			for i := range 1500 {
				if err := os.WriteFile(filepath.Join(dir, "tmp", fmt.Sprintf("new-%d", i)), []byte("new"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.RemoveAll(filepath.Join(dir, "bin")); err != nil {
				t.Fatal(err)
			}
			big := []byte(imagetest.Noise(1, 20<<20))
			if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(filepath.Join(dir, "big"), filepath.Join(dir, "etc", "big-too")); err != nil {
				t.Fatal(err)
			}
		})
		check(t, image)
		if stats.Free < 32<<20 || stats.Free > 32<<20+1<<20 {
			t.Errorf("%d bytes free, want 32 MiB and little more", stats.Free)
		}
	}
}
