package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// initramfsPacks makes the packs of a layer and of an init that becomes /bin/app.
func initramfsPacks(t *testing.T, exec string) (dir, layer, init string) {
	t.Helper()
	dir, program, modules := bootFiles(t, "virtio_pci", "virtio_net")
	tar := filepath.Join(dir, "layer.tar")
	app := layerFile("bin/app", string(staticProgram()))
	app.Mode = 0o755
	if err := os.WriteFile(tar, imagetest.Tar(t, app), 0o644); err != nil {
		t.Fatal(err)
	}
	layer, init = filepath.Join(dir, "layer.pack"), filepath.Join(dir, "init.pack")
	for _, args := range [][]string{
		{"pack", "--for", "initramfs", "--compression", "gzip", "--layer", tar, "--out", layer},
		{"pack-init", "--compression", "gzip", "--init", program, "--exec", exec, "--kernel-modules", modules, "--out", init},
	} {
		if err := dispatch(t.Context(), args, os.Stderr); err != nil {
			t.Fatal(err)
		}
	}
	return dir, layer, init
}

func TestInitramfs(t *testing.T) {
	dir, layer, init := initramfsPacks(t, "/bin/app")
	out := filepath.Join(dir, "out.cpio.gz")
	var first []byte
	for _, jobs := range []string{"1", "4"} {
		var log bytes.Buffer
		err := dispatch(t.Context(), []string{"initramfs", "--compression", "gzip", "--pack", layer, "--pack", init, "--require", "/bin/app",
			"--arch", "amd64", "--jobs", jobs, "--out", out, "--digest-out", out + ".sha256", "--unpacked-out", out + ".size"}, &log)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "3 files and 16 folders, ") || !strings.Contains(log.String(), "copied 2 segments") {
			t.Errorf("it said %q", log.String())
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(first, got) {
			t.Errorf("%s jobs give another initramfs", jobs)
		}
	}
	if size, err := os.ReadFile(out + ".size"); err != nil || string(size) != "33792\n" { // 3 pages, 21 inodes
		t.Errorf("unpacked size %q, %v", size, err)
	}
}

func TestInitramfsErrors(t *testing.T) {
	dir, layer, init := initramfsPacks(t, "/bin/app")
	squashfs := filepath.Join(dir, "squashfs.pack")
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := dispatch(t.Context(), []string{"pack", "--layer", filepath.Join(dir, "layer.tar"), "--out", squashfs}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	link := func(args ...string) []string {
		return append([]string{"initramfs", "--compression", "gzip", "--out", out, "--pack", layer, "--pack", init}, args...)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{link("--require", "/bin/kestrel"), cli.ExitError, "/bin/kestrel is not an executable file of the image"},
		{link("--arch", "arm64"), cli.ExitError, "/bin/app is a program for X86_64, the image is for arm64"},
		{link("--arch", "mips"), cli.ExitUsage, "unknown architecture"},
		{link("--lint", "off"), cli.ExitUsage, "give error or warning"},
		{link("--pack", squashfs), cli.ExitError, "not an initramfs layer pack"},
		{link("--pack", filepath.Join(dir, "none")), cli.ExitError, "no such file"},
		{[]string{"initramfs", "--out", out}, cli.ExitUsage, "--pack is required"},
		{[]string{"initramfs", "--compression", "lz4", "--out", out, "--pack", layer}, cli.ExitError, "lz4 cannot be mixed"},
		{[]string{"rootfs", "--out", out, "--pack", layer}, cli.ExitError, "not a layer pack of this version"},
		{[]string{"pack", "--for", "ext2", "--layer", text, "--out", out}, cli.ExitUsage, "give one of initramfs, squashfs, erofs, ext4, xfs, btrfs"},
		{[]string{"pack-busybox", "--busybox", text, "--out", out}, cli.ExitError, "not a Linux program"},
		{[]string{"pack-init", "--init", text, "--exec", "/x", "--out", out}, cli.ExitError, "not a Linux program"},
		{[]string{"pack-init", "--init", text, "--exec", "x", "--out", out}, cli.ExitUsage, "is not an absolute path"},
	} {
		var log bytes.Buffer
		err := dispatch(t.Context(), c.args, &log)
		if err == nil || cli.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: code %d, %v; want %d, %q", c.args, cli.ExitCode(err), err, c.code, c.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%v: the output is there", c.args)
		}
	}
	var log bytes.Buffer
	if err := dispatch(t.Context(), link("--arch", "arm64", "--lint", "warning"), &log); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(log.String(), "warning: /bin/app is a program for X86_64") {
		t.Errorf("it said %q", log.String())
	}
}

// TestStrictXattrs tells of all files that would lose their capabilities, up to a bound.
func TestStrictXattrs(t *testing.T) {
	dir := t.TempDir()
	layer, pack, out := filepath.Join(dir, "layer.tar"), filepath.Join(dir, "layer.pack"), filepath.Join(dir, "out")
	var files []imagetest.File
	for i := range 12 {
		f := layerFile(fmt.Sprintf("bin/cap-%02d", i), "x")
		f.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "x"}
		files = append(files, f)
	}
	if err := os.WriteFile(layer, imagetest.Tar(t, files...), 0o644); err != nil {
		t.Fatal(err)
	}
	err := dispatch(t.Context(), []string{"pack", "--for", "initramfs", "--compression", "gzip", "--layer", layer, "--out", pack}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	link := []string{"initramfs", "--compression", "gzip", "--pack", pack, "--out", out}
	var log bytes.Buffer
	if err := dispatch(t.Context(), link, &log); err != nil || strings.Count(log.String(), "loses its file capabilities") != 12 {
		t.Errorf("%v, it said %q", err, log.String())
	}
	err = dispatch(t.Context(), append(link, "--strict-xattrs"), &log)
	if err == nil || strings.Count(err.Error(), "has file capabilities") != 10 || !strings.Contains(err.Error(), "and 2 more") ||
		!strings.Contains(err.Error(), "leave strict_xattrs out") {
		t.Errorf("error %v", err)
	}
}

// TestInitramfsAllOrNothing fails after the unpacked size is written: it must not stay behind without its initramfs.
func TestInitramfsAllOrNothing(t *testing.T) {
	dir, layer, init := initramfsPacks(t, "/bin/app")
	out := filepath.Join(dir, "out")
	err := dispatch(t.Context(), []string{"initramfs", "--compression", "gzip", "--pack", layer, "--pack", init, "--out", out,
		"--unpacked-out", out + ".size", "--digest-out", filepath.Join(dir, "missing", "digest")}, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, path := range []string{out, out + ".size"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there", filepath.Base(path))
		}
	}
}
