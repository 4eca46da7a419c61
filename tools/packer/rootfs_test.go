package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// packedLayer packs a layer of the given files, with "/" at its end for a folder, into dir/name.
func packedLayer(t *testing.T, dir, name string, files ...imagetest.File) string {
	t.Helper()
	layer, pack := filepath.Join(t.TempDir(), "layer.tar"), filepath.Join(dir, name)
	if err := os.WriteFile(layer, imagetest.Tar(t, files...), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"pack", "--layer", layer, "--level", "1", "--block-size", "4096", "--out", pack}
	if err := dispatch(context.Background(), args, os.Stderr); err != nil {
		t.Fatal(err)
	}
	return pack
}

func layerFile(name, data string) imagetest.File {
	return imagetest.File{
		Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(1, 0)}, Data: data,
	}
}

// rootfs runs the command with the settings of packedLayer.
func rootfs(out string, more ...string) (stderr string, err error) {
	var b bytes.Buffer
	args := append([]string{"rootfs", "--level", "1", "--block-size", "4096", "--out", out}, more...)
	err = dispatch(context.Background(), args, &b)
	return b.String(), err
}

func ls(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestRootfs(t *testing.T) {
	packs, dir := t.TempDir(), t.TempDir()
	base := packedLayer(t, packs, "0000.pack", layerFile("etc/a", "old"), layerFile("etc/b", "kept"))
	odd := layerFile("etc/a", "new")
	odd.ModTime, odd.Mode = time.Unix(-5, 0), 0o755
	odd.PAXRecords = map[string]string{"SCHILY.xattr.system.posix_acl_access": "x"}
	top := packedLayer(t, packs, "0001.pack", odd)
	if err := os.WriteFile(filepath.Join(packs, "config.json"), nil, 0o644); err != nil { // not a pack, by its name
		t.Fatal(err)
	}
	image, digestFile := filepath.Join(dir, "a.img"), filepath.Join(dir, "a.img.sha256")
	stderr, err := rootfs(image, "--pack", base, "--pack", top, "--digest-out", digestFile)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	if got, err := os.ReadFile(digestFile); err != nil || string(got) != digest+"\n" {
		t.Errorf("digest file %q, %v, want %s", got, err, digest)
	}
	for _, want := range []string{
		image + ": 4096 bytes, " + digest + ", 2 files and 2 folders",
		`warning: dropped 1 extended attributes, the first "system.posix_acl_access" of "/etc/a"`,
		"warning: 1 files have times outside of 1970 to 2106",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in:\n%s", want, stderr)
		}
	}
	// The folder stands for the packs in it; the digest is optional.
	again := filepath.Join(dir, "b.img")
	if _, err := rootfs(again, "--pack", packs, "--jobs", "1", "--require", "/etc/a"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(again); err != nil || !bytes.Equal(got, data) {
		t.Errorf("another image from the folder of the packs, %v", err)
	}
	if got, want := ls(t, dir), []string{"a.img", "a.img.sha256", "b.img"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// A failed link tells why and leaves what was there as it was.
func TestRootfsErrors(t *testing.T) {
	packs := t.TempDir()
	good := packedLayer(t, packs, "good.pack", layerFile("a", "a"))
	below := packedLayer(t, packs, "below.pack", layerFile("a/b", "b"))
	none := packedLayer(t, packs, "none.pack", layerFile(".wh.a", ""))
	damaged := filepath.Join(packs, "damaged.pack")
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, data[:len(data)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"no packs", "--pack is required", nil},
		{"missing pack", "no such file", []string{"--pack", filepath.Join(empty, "x.pack")}},
		{"empty folder", "has no layer pack (*.pack)", []string{"--pack", empty}},
		{"damaged pack", "layer pack " + damaged + ": ", []string{"--pack", good, "--pack", damaged}},
		{"no pack", "layer pack /dev/null: ", []string{"--pack", "/dev/null"}},
		{"below a file", "layer " + below + `: entry "a/b": "a" is not a directory`,
			[]string{"--pack", good, "--pack", below}},
		{"nothing at a required path", "/bin/kestrel is not an executable file of the image",
			[]string{"--pack", good, "--require", "/bin/kestrel"}},
		{"required file is no program", "/a is not an executable file of the image", []string{"--pack", good, "--require", "/a"}},
		{"empty image", "the image is empty", []string{"--pack", good, "--pack", none}},
		{"other level", "pack the layer with the image's settings", []string{"--pack", good, "--level", "2"}},
		{"other block size", "pack the layer with the image's settings", []string{"--pack", good, "--block-size", "8192"}},
		{"bad block size", "block size 5000", []string{"--pack", good, "--block-size", "5000"}},
		{"bad digest file", "no such file", []string{"--pack", good, "--digest-out", filepath.Join(empty, "x", "y")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			image, digest := filepath.Join(dir, "a.img"), filepath.Join(dir, "a.sha256")
			for _, path := range []string{image, digest} {
				if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := rootfs(image, append([]string{"--digest-out", digest}, tc.args...)...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if got, want := ls(t, dir), []string{"a.img", "a.sha256"}; !slices.Equal(got, want) {
				t.Errorf("files %q, want %q", got, want)
			}
			for _, path := range []string{image, digest} {
				if got, err := os.ReadFile(path); err != nil || string(got) != "before" {
					t.Errorf("%s: %q, %v", path, got, err)
				}
			}
		})
	}
}

// The image cannot be put in its place after the digest was: the digest goes again.
func TestWriteWithDigestRename(t *testing.T) {
	dir := t.TempDir()
	image, digest := filepath.Join(dir, "image"), filepath.Join(dir, "digest")
	if err := os.MkdirAll(filepath.Join(image, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := rootfs(image, "--pack", packedLayer(t, t.TempDir(), "a.pack", layerFile("a", "a")), "--digest-out", digest)
	if err == nil {
		t.Error("no error")
	}
	if got, want := ls(t, dir), []string{"image"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}
