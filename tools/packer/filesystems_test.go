package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/imagetest"
)

func TestExt4(t *testing.T) {
	imagetest.Need(t, "e2fsck", "debugfs")
	packs, dir := t.TempDir(), t.TempDir()
	packedLayer(t, packs, "0.pack", layerFile("etc/a", "first"), layerFile("etc/b", "first"))
	packedLayer(t, packs, "1.pack", layerFile("etc/a", "second"))
	ext4 := func(out string, more ...string) (stderr string, err error) {
		var b bytes.Buffer
		args := append([]string{"rootfs", "--filesystem", "ext4", "--pack", packs, "--out", out, "--size-buffer-mb", "5"}, more...)
		err = dispatch(context.Background(), args, &b)
		return b.String(), err
	}
	out, full := filepath.Join(dir, "x.img"), filepath.Join(dir, "full.img")
	stderr, err := ext4(out, "--digest-out", out+".digest")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := os.ReadFile(out + ".digest")
	if err != nil || !strings.Contains(stderr, strings.TrimSpace(string(digest))+", 2 files and 2 folders; ") {
		t.Errorf("%q, %s, %v", digest, stderr, err)
	}
	imagetest.Run(t, "e2fsck", "-fn", out)
	if got := imagetest.Run(t, "debugfs", "-R", "cat /etc/a", out); !strings.HasSuffix(got, "second") {
		t.Errorf("a holds %q", got)
	}
	if stderr, err := ext4(full, "--preallocate"); err != nil || !strings.Contains(stderr, strings.TrimSpace(string(digest))) {
		t.Errorf("with --preallocate: %s, %v, want the digest %s", stderr, err, digest)
	}
	var holes, whole unix.Stat_t
	if err := unix.Stat(out, &holes); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(full, &whole); err != nil {
		t.Fatal(err)
	}
	if whole.Size != holes.Size || whole.Blocks*512 < whole.Size || holes.Blocks*512 > 1<<20 {
		t.Errorf("%d blocks without holes and %d with, of a size of %d and %d", whole.Blocks, holes.Blocks, whole.Size, holes.Size)
	}
	if _, err := ext4(filepath.Join(dir, "journal.img"), "--journal"); err != nil {
		t.Error(err)
	}
	if out := imagetest.Run(t, "dumpe2fs", "-h", filepath.Join(dir, "journal.img")); !strings.Contains(out, "has_journal") {
		t.Errorf("no journal: %s", out)
	}
	for args, want := range map[string]string{
		"--size-buffer-mb -1": "rootfs: --size-buffer-mb -1: give 0 to 1048576",
		"--compression zstd":  "rootfs: ext4 holds files as they are: leave compression and its level out",
		"--filesystem xfs":    `rootfs: --filesystem "xfs": give one of squashfs, erofs, ext4`,
		"--filesystem erofs":  "rootfs: --size-buffer-mb, --journal and --preallocate are for ext4: erofs has no free space",
		"--verity-out /dev/x": "rootfs: --verity-out: ext4 changes as the guest writes to it",
		"--require /bin/x":    "rootfs: /bin/x is not an executable",
	} {
		_, err := ext4(filepath.Join(dir, "none.img"), strings.Fields(args)...)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	if err := dispatch(context.Background(), []string{"rootfs", "--filesystem", "ext4", "--out", out}, os.Stderr); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("without packs: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none.img")); !os.IsNotExist(err) {
		t.Errorf("an image in spite of an error: %v", err)
	}
}

// TestVerity packs and links erofs with a hash tree, which veritysetup takes for right.
func TestVerity(t *testing.T) {
	imagetest.Need(t, "veritysetup", "fsck.erofs")
	dir := t.TempDir()
	layer, pack := filepath.Join(dir, "layer.tar"), filepath.Join(dir, "layer.pack")
	if err := os.WriteFile(layer, imagetest.Tar(t, layerFile("etc/a", strings.Repeat("text ", 20000))), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		var b bytes.Buffer
		if err := dispatch(context.Background(), args, &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	run("pack", "--for", "erofs", "--layer", layer, "--out", pack)
	image, params := filepath.Join(dir, "x.img"), filepath.Join(dir, "x.verity.json")
	out := run("rootfs", "--filesystem", "erofs", "--pack", pack, "--out", image, "--verity-out", params)
	failed := filepath.Join(dir, "failed.img")
	err := dispatch(context.Background(), []string{"rootfs", "--filesystem", "erofs", "--pack", pack, "--out", failed,
		"--digest-out", failed + ".digest", "--verity-out", filepath.Join(dir, "none", "x.json")}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("parameters into a folder that is not there: %v", err)
	}
	if got, want := ls(t, dir), []string{"layer.pack", "layer.tar", "x.img", "x.verity.json"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	p, err := readVerity(params)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf(": %d bytes, sha256:", info.Size()), "root hash is " + p.RootHash.String()} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	imagetest.Run(t, "veritysetup", "verify", image, image, p.RootHash.String(), fmt.Sprintf("--hash-offset=%d", p.HashOffset))
	imagetest.Run(t, "fsck.erofs", image)
}
