package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/cli"
)

// staticProgram is the header of an ELF file for x86-64 without program headers.
func staticProgram() []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	h[16], h[18], h[20] = 2, 62, 1 // ET_EXEC, EM_X86_64, version
	h[52], h[54], h[58] = 64, 56, 64
	return h
}

// bootFiles writes an init and the modules folder of a kernel that has the given modules built in.
func bootFiles(t *testing.T, builtin ...string) (dir, init, modules string) {
	t.Helper()
	dir = t.TempDir()
	init, modules = filepath.Join(dir, "init"), filepath.Join(dir, "6.6.6")
	if err := os.Mkdir(modules, 0o755); err != nil {
		t.Fatal(err)
	}
	list := ""
	for _, name := range builtin {
		list += "kernel/" + name + ".ko\n"
	}
	for file, data := range map[string][]byte{
		init: staticProgram(), filepath.Join(modules, "modules.builtin"): []byte(list),
	} {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, init, modules
}

// squashless is a configuration for a disk that is anything but squashfs.
const squashless = `# CONFIG_SQUASHFS is not set
CONFIG_BLK_DEV_INITRD=y
CONFIG_RD_GZIP=y
CONFIG_BINFMT_ELF=y
CONFIG_DEVTMPFS=y
CONFIG_PROC_FS=y
CONFIG_SYSFS=y
CONFIG_TMPFS=y
CONFIG_TMPFS_XATTR=y
CONFIG_BLK_DEV=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_PCI=y
CONFIG_OVERLAY_FS=y
CONFIG_EROFS_FS=y
CONFIG_EROFS_FS_XATTR=y
CONFIG_EROFS_FS_SECURITY=y
CONFIG_EROFS_FS_ZIP=y
CONFIG_XFS_FS=y
CONFIG_VIRTIO_CONSOLE=y
`

func kernelConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestKernelConfig has the commands that make something to boot look at the kernel's configuration.
func TestKernelConfig(t *testing.T) {
	dir, init, _ := bootFiles(t)
	config, out := kernelConfig(t, squashless), filepath.Join(dir, "out")
	for _, tt := range []struct {
		args string
		want string // of the error
	}{
		{"boot-initramfs --init INIT --filesystem erofs --compression lz4", ""},
		{"boot-initramfs --init INIT --filesystem xfs", ""},
		{"boot-initramfs --init INIT --filesystem ext4", "CONFIG_EXT4_FS is not set"},
		{"boot-initramfs --init INIT", "CONFIG_SQUASHFS_ZSTD is not set"},
		{"boot-initramfs --init INIT --compression lz4", "CONFIG_SQUASHFS_LZ4 is not set"},
		{"pack-init --init INIT --exec /bin/sh --compression gzip", ""},
		{"pack-init --init INIT --exec /bin/sh --compression xz", "CONFIG_RD_XZ is not set"},
		{"guest-initramfs --guest INIT", ""},
	} {
		args := strings.Fields(strings.ReplaceAll(tt.args, "INIT", init) + " --kernel-config " + config + " --out " + out)
		err := dispatch(t.Context(), args, io.Discard)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.args, err, tt.want)
		}
		if removed := os.Remove(out) == nil; removed != (tt.want == "") {
			t.Errorf("%s: output written: %t", tt.args, removed)
		}
	}
	bare := kernelConfig(t, strings.ReplaceAll(squashless, "CONFIG_VIRTIO_CONSOLE=y\n", ""))
	err := dispatch(t.Context(), []string{"guest-initramfs", "--guest", init, "--kernel-config", bare, "--out", out}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "CONFIG_VIRTIO_CONSOLE is not set, which the console of a build machine needs") {
		t.Errorf("a guest without a console: %v", err)
	}
}

func TestBootInitramfs(t *testing.T) {
	dir, init, modules := bootFiles(t, "virtio_pci", "virtio_blk", "squashfs", "overlay", "erofs")
	out, digestOut := filepath.Join(dir, "out"), filepath.Join(dir, "digest")
	var first []byte
	for range 2 {
		var log bytes.Buffer
		err := runBootInitramfs(t.Context(), []string{"--init", init, "--kernel-modules", modules, "--module", "erofs",
			"--overlay-size", "50%", "--out", out, "--digest-out", digestOut}, &log)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Error("the second run gave other bytes")
		}
		want := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
		if digest, err := os.ReadFile(digestOut); err != nil || string(digest) != want+"\n" {
			t.Errorf("digest file %q, %v; want %s", digest, err, want)
		}
		if want = fmt.Sprintf("%s: %d bytes, %s, overlay 50%%, 0 kernel modules\n", out, len(b), want); log.String() != want {
			t.Errorf("log %q, want %q", log.String(), want)
		}
	}
}

// TestBootInitramfsVerity looks for the line that the init reads.
func TestBootInitramfsVerity(t *testing.T) {
	file, params := verityFile(t)
	dir, init, _ := bootFiles(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "overlay_size=1G\n"},
		{[]string{"--verity", file}, "overlay_size=1G\nverity=" + params.RootHash.String() + "\n"},
		{[]string{"--verity-cmdline"}, "overlay_size=1G\nverity=cmdline\n"},
	} {
		out := filepath.Join(dir, "out")
		if err := runBootInitramfs(t.Context(), append([]string{"--init", init, "--out", out}, tt.args...), io.Discard); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := fileOf(t, z, bootconf.File); got != tt.want {
			t.Errorf("%q: the configuration is %q, want %q", tt.args, got, tt.want)
		}
	}
}

// fileOf is the content of a file in an archive.
func fileOf(t *testing.T, archive io.Reader, name string) string {
	t.Helper()
	for r := cpio.NewReader(archive); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
}

func TestBootInitramfsErrors(t *testing.T) {
	dir, init, modules := bootFiles(t, "virtio_pci", "virtio_blk", "overlay")
	out, config := filepath.Join(dir, "out"), kernelConfig(t, squashless+"CONFIG_OVERLAY_FS=m\n")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--out", out}, cli.ExitUsage, "--init is required"},
		{[]string{"--init", init}, cli.ExitUsage, "--out is required"},
		{[]string{"--init", init, "--out", out, "more"}, cli.ExitUsage, `unexpected argument "more"`},
		{[]string{"--init", init, "--out", out, "--overlay-size", "1"}, cli.ExitUsage, `overlay_size "1" is not a size`},
		{[]string{"--init", init, "--out", out, "--module", "erofs"}, cli.ExitUsage, "--module erofs needs --kernel-modules"},
		{[]string{"--init", init, "--out", out, "--filesystem", "zfs"}, cli.ExitUsage, `file system "zfs": use squashfs, `},
		{[]string{"--init", init, "--out", out, "--filesystem", ""}, cli.ExitUsage, "--filesystem is required"},
		{[]string{"--init", init, "--out", out, "--filesystem", "erofs"}, cli.ExitUsage, `compression "zstd" of erofs: use one of`},
		{
			[]string{"--init", init, "--out", out, "--filesystem", "ext4", "--kernel-modules", modules}, cli.ExitError,
			"kernel 6.6.6 has no module ext4",
		},
		{[]string{"--init", init, "--out", out, "--kernel-config", "none"}, cli.ExitError, "kernel config: open none: no such file"},
		{[]string{"--init", init, "--out", out, "--kernel-config", init}, cli.ExitError, "/init:1: "},
		{[]string{"--init", init, "--out", out, "--kernel-config", config}, cli.ExitError, "CONFIG_SQUASHFS is not set"},
		{
			[]string{"--init", init, "--out", out, "--kernel-config", config, "--kernel-modules", modules}, cli.ExitError,
			"CONFIG_OVERLAY_FS=m, which a writable overlay needs, but the modules of kernel 6.6.6 have no file of overlay",
		},
		{[]string{"--init", init, "--out", out, "--verity", init, "--verity-cmdline"}, cli.ExitUsage,
			"--verity and --verity-cmdline exclude each other"},
		{[]string{"--init", init, "--out", out, "--verity", init}, cli.ExitError, "init: not the parameters of dm-verity"},
		{[]string{"--init", init, "--out", out, "--verity", "none"}, cli.ExitError, "none: no such file"},
		{[]string{"--init", "none", "--out", out}, cli.ExitError, "none: no such file"},
		{[]string{"--init", init, "--out", out, "--kernel-modules", "none"}, cli.ExitError, "none: no such file"},
		{
			[]string{"--init", init, "--out", out, "--kernel-modules", modules}, cli.ExitError,
			"kernel 6.6.6 has no module squashfs",
		},
		{[]string{"--init", modules + "/modules.builtin", "--out", out}, cli.ExitError, "init: not a Linux program"},
	} {
		err := runBootInitramfs(t.Context(), tt.args, io.Discard)
		if err == nil || cli.ExitCode(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want exit code %d and %q", tt.args, err, tt.code, tt.want)
		}
		if entries, _ := filepath.Glob(filepath.Join(dir, "*out*")); len(entries) != 0 {
			t.Errorf("%q left %q behind", tt.args, entries)
		}
	}
	args := []string{"--init", init, "--out", filepath.Join(dir, "no", "folder")}
	if err := runBootInitramfs(t.Context(), args, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an output folder that does not exist: %v", err)
	}
}

func TestGuestInitramfs(t *testing.T) {
	dir, guest, modules := bootFiles(t, "virtio_mmio", "virtio_blk", "virtio_console", "overlay")
	out := filepath.Join(dir, "out")
	var log bytes.Buffer
	if err := dispatch(t.Context(), []string{"guest-initramfs", "--guest", guest, "--kernel-modules", modules, "--out", out}, &log); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "sha256:") || !strings.HasSuffix(log.String(), ", 0 kernel modules\n") {
		t.Errorf("it said %q", log.String())
	}
	dir, guest, modules = bootFiles(t, "virtio_mmio", "virtio_blk", "overlay")
	out = filepath.Join(dir, "out")
	err := dispatch(t.Context(), []string{"guest-initramfs", "--guest", guest, "--kernel-modules", modules, "--out", out}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "has no module virtio_console") {
		t.Errorf("a kernel without the console's driver: error %v", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the output is there")
	}
}
