// Package filled makes xfs and btrfs images in a machine and looks at them with the file systems' own tools, the host's
// kernel and a guest.
package filled

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

const guest = runtime.GOARCH

var kinds = []string{fill.XFS, fill.Btrfs}

// kit is what fills need.
type kit struct {
	dir     string
	machine fill.Machine // without an initramfs
	program []byte       // tools/fill
	modules *kmod.Tree
}

func newKit(t *testing.T) *kit {
	t.Helper()
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("this test builds Go programs: run it with go test ./e2e/filled")
	}
	harness.NeedSlow(t, "boots machines")
	modules := os.Getenv("FLEDGE_KERNEL_MODULES")
	k := &kit{dir: t.TempDir(), machine: fill.Machine{Arch: guest, Kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE")}}
	if k.machine.Kernel == "" || modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	var err error
	k.machine.Driver, err = drivers.Select(drivers.Options{
		Arch: guest, QEMU: os.Getenv(qemu.Variable(guest)), Note: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("builds the guest: %v", err)
	}
	if k.program, err = toolrun.BuildStatic(k.dir, "./tools/fill", guest); err != nil {
		t.Fatal(err)
	}
	if k.modules, err = kmod.Open(modules); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.modules.Close() })
	return k
}

// options are those of a fill with a kind of file system; without its mkfs the test is skipped.
func (k *kit) options(t *testing.T, kind, source string) fill.Options {
	t.Helper()
	mkfs, err := fill.FindMkfs(kind, os.Getenv(fill.Variable(kind)))
	if err != nil {
		t.Skip(err)
	}
	o := fill.Options{Kind: kind, Mkfs: mkfs, Source: source, SizeBuffer: 1, TempDir: k.dir, Machine: k.machine}
	o.Machine.Initramfs = filepath.Join(k.dir, kind+".cpio.gz")
	if _, err := os.Stat(o.Machine.Initramfs); errors.Is(err, os.ErrNotExist) {
		modules, err := bootfs.SelectFillModules(kind)(k.modules, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = cli.WriteBuffered(o.Machine.Initramfs, func(w io.Writer) error { return bootfs.WriteGuest(w, k.program, modules) })
		if err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// fill makes an image, and has the file system's own tool look at it.
func (k *kit) fill(t *testing.T, o fill.Options) (image string, stats fill.Stats) {
	t.Helper()
	image = filepath.Join(t.TempDir(), o.Kind+".img")
	digest, err := cli.WriteSparseWithDigest(image, "", func(w io.Writer) (err error) {
		stats, err = fill.Fill(context.Background(), w, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s, %+v", o.Kind, digest, stats)
	check(t, o.Kind, image)
	return image, stats
}

// check has the file system's own tool look at an image; what it would repair is an error.
func check(t *testing.T, kind, image string) {
	t.Helper()
	args := map[string][]string{fill.XFS: {"xfs_repair", "-n", image}, fill.Btrfs: {"btrfs", "check", "--check-data-csum", image}}[kind]
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if found, err := exec.LookPath("/usr/sbin/" + args[0]); err == nil {
		cmd.Path, cmd.Err = found, nil
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	for _, word := range []string{"would", "bad ", "ERROR", "WARNING", "mismatch"} {
		if bytes.Contains(out, []byte(word)) {
			t.Errorf("%q says %q:\n%s", args, word, out)
		}
	}
	t.Logf("%s", out)
}

// source links an ext4 image of uncompressed layers.
func (k *kit) source(t *testing.T, layers ...[]byte) string {
	t.Helper()
	spec, err := codec.ParseSpec("none", 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var packs []string
	for i, layer := range layers {
		pack := filepath.Join(dir, fmt.Sprint(i, ".pack"))
		err := cli.WriteFile(pack, func(f *os.File) error {
			o := layerpack.Options{Codec: spec, BlockSize: 128 << 10}
			_, err := layerpack.PackTar(context.Background(), bytes.NewReader(layer), f, o)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, pack)
	}
	image := filepath.Join(dir, "source.ext4")
	_, err = cli.WriteSparseWithDigest(image, "", func(w io.Writer) error {
		_, err := linking.Rootfs(context.Background(), w, packs, linking.RootfsOptions{Filesystem: packing.Ext4, SizeBuffer: 1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}
