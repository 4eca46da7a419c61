package inspect

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
)

// open opens an image.
func open(t testing.TB, name string) *imagefile.Image {
	t.Helper()
	im, err := imagefile.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

// writeMTree writes the specification of an image to a file.
func writeMTree(t *testing.T, image string) string {
	t.Helper()
	var b bytes.Buffer
	if err := MTree(&b, open(t, image), "."); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "test.mtree")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestMTree has mtree compare the specification of an image with the tree that it was made of.
func TestMTree(t *testing.T) {
	dir := artifacttest.Tree(t)
	imagetest.NeedRoot(t, "mtree")
	// From an archive, the kernel makes a symlink of its own for each name.
	apart := "second link: \n\tlink count (1, 2)\nlink:   link count (1, 2)\n"
	for image, want := range map[string]string{artifacttest.Squashfs(t, dir): "", artifacttest.CPIO(t, dir, "newc"): apart} {
		t.Run(filepath.Base(image), func(t *testing.T) {
			spec := writeMTree(t, image)
			out, err := exec.Command("mtree", "-p", dir, "-f", spec).CombinedOutput()
			if string(out) != want || err != nil && want == "" {
				t.Errorf("mtree: %v\n%s, want %q", err, out, want)
			}
		})
	}
}

// TestMTreeNotices has mtree notice every change of a tree.
func TestMTreeNotices(t *testing.T) {
	dir := artifacttest.Tree(t)
	imagetest.NeedRoot(t, "mtree")
	spec := writeMTree(t, artifacttest.Squashfs(t, dir))
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(path("no mode"), []byte("M"), 0),
		os.Chmod(path("setuid"), 0o755),
		os.Lchown(path("deep"), 1, 2),
		os.Remove(path("not UTF-8 \xff\xfe")),
		os.WriteFile(path("added"), nil, 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("mtree", "-p", dir, "-f", spec).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("mtree: %v\n%s", err, out)
	}
	for _, want := range []string{"sha256", "mode", "user", "gid", "missing", "extra: added"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestBsdtar has bsdtar make an archive by a specification, which has to have what imagetest tells of the tree.
func TestBsdtar(t *testing.T) {
	dir := artifacttest.Tree(t)
	imagetest.NeedRoot(t, "bsdtar")
	if err := os.Remove(filepath.Join(dir, "dev/socket")); err != nil { // which tar has no type for
		t.Fatal(err)
	}
	spec := writeMTree(t, artifacttest.Squashfs(t, dir))
	cmd := exec.Command("bsdtar", "--format=pax", "-cf", "-", "@"+spec)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bsdtar: %v\n%s", err, stderr.String())
	}
	got := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Clean(h.Name)] = fmt.Sprintf("%c %04o %d:%d %d %q %d,%d %d bytes",
			h.Typeflag, h.Mode, h.Uid, h.Gid, h.ModTime.Unix(), h.Linkname, h.Devmajor, h.Devminor, n)
	}
	want := map[string]string{}
	first := map[uint64]string{}
	for e, err := range open(t, artifacttest.Squashfs(t, dir)).Walk(".") {
		if err != nil {
			t.Fatal(err)
		}
		kind := map[string]byte{
			"file": tar.TypeReg, "dir": tar.TypeDir, "link": tar.TypeSymlink, "char": tar.TypeChar, "block": tar.TypeBlock,
			"fifo": tar.TypeFifo,
		}[e.TypeName()]
		size, link := e.Size, e.Target
		if link != "" {
			size = 0
		}
		switch name := first[e.Inode]; {
		case e.Type == fstree.Directory:
		case name != "":
			kind, size, link = tar.TypeLink, 0, "./"+name
		default:
			first[e.Inode] = e.Path
		}
		want[e.Path] = fmt.Sprintf("%c %04o %d:%d %d %q %d,%d %d bytes",
			kind, e.Mode, e.UID, e.GID, e.ModTime, link, e.Major, e.Minor, size)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-image +archive)\n%s", diff)
	}
}
