// Package filled makes xfs and btrfs images in a machine and looks at them with the file systems' own tools, the host's
// kernel and a guest.
package filled

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

const guest = runtime.GOARCH

var kinds = []string{fill.XFS, fill.Btrfs}

// kit is what fills need.
type kit struct {
	dir     string
	machine fill.Machine // without an initramfs
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
	if k.modules, err = kmod.Open(modules); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.modules.Close() })
	return k
}

// program builds a program for guests.
func (k *kit) program(t *testing.T, pkg string) []byte {
	t.Helper()
	program, err := toolrun.BuildStatic(k.dir, pkg, guest)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// initramfs makes one of a program, with the modules for a kind of file system, once.
func (k *kit) initramfs(t *testing.T, pkg, kind string) string {
	t.Helper()
	file := filepath.Join(k.dir, filepath.Base(pkg)+"-"+kind+".cpio.gz")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return file
	}
	modules, err := bootfs.SelectFillModules(kind)(k.modules, nil)
	if err != nil {
		t.Fatal(err)
	}
	program := k.program(t, pkg)
	if err := cli.WriteBuffered(file, func(w io.Writer) error { return bootfs.WriteGuest(w, program, modules) }); err != nil {
		t.Fatal(err)
	}
	return file
}

// options are those of a fill with a kind of file system; without its programs the test is skipped.
func (k *kit) options(t *testing.T, kind, source string) fill.Options {
	t.Helper()
	mkfs, err := fill.FindMkfs(kind, os.Getenv(fill.Variable(kind)))
	if err != nil {
		t.Skip(err)
	}
	o := fill.Options{Kind: kind, Mkfs: mkfs, Source: source, SizeBuffer: 1, TempDir: k.dir, Machine: k.machine}
	o.Machine.Initramfs = k.initramfs(t, "./tools/fill", kind)
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
	if size := int64(o.SizeBuffer) << 20; stats.Free < size {
		t.Errorf("%d bytes are free, want %d at least", stats.Free, size)
	}
	check(t, o.Kind, image)
	return image, stats
}

// checkers are the file systems' own tools, and the lines that they have for an image in order.
var checkers = map[string]struct {
	command []string
	silent  *regexp.Regexp
}{
	fill.XFS: {
		[]string{"xfs_repair", "-n", "-f"},
		// The geometry is that of the file system which the image lies on, if that is no xfs.
		regexp.MustCompile(`^(Phase \d - .*| +- .*|No modify flag set, skipping .*|Cannot get host filesystem geometry\.|` +
			`Repair may fail if there is a sector size mismatch between|the image and the host filesystem\.)$`),
	},
	fill.Btrfs: {
		[]string{"btrfs", "check", "--check-data-csum"},
		regexp.MustCompile(`^(\[\d/\d\] checking [a-z ]+|.* checking quota groups skipped.*|Opening filesystem .*|Checking filesystem .*|UUID: .*|` +
			`found \d+ bytes used, no error found|total .* bytes: \d+|btree space waste bytes: \d+|file data blocks allocated: \d+| referenced \d+)$`),
	},
}

// check has the file system's own tool look at an image; what it has to say is an error.
func check(t *testing.T, kind, image string) {
	t.Helper()
	for line := range strings.Lines(output(t, append(checkers[kind].command, image)...)) {
		if line = strings.TrimSuffix(line, "\n"); !checkers[kind].silent.MatchString(line) {
			t.Errorf("%q says %q", checkers[kind].command, line)
		}
	}
}

// output runs one of the file systems' tools, which only root has on PATH.
func output(t *testing.T, command ...string) string {
	t.Helper()
	program, err := exec.LookPath(command[0])
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/" + command[0]); err != nil {
			t.Skipf("needs %s: %v", command[0], err)
		}
	}
	out, err := exec.Command(program, command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return string(out)
}

// boot boots a guest from an image, which may write to it, and gives the lines that it tells of the tree.
func (k *kit) boot(t *testing.T, kind, image string) []string {
	t.Helper()
	console := &vmm.ConsoleEnd{}
	var tree bytes.Buffer
	m, err := k.machine.Driver.Start(t.Context(), vmm.Spec{
		Arch: guest, Kernel: k.machine.Kernel, Initramfs: k.initramfs(t, "./e2e/filled/guest", kind),
		Disks: []vmm.Disk{{File: image, Writable: true}}, MemoryMB: 256, CPUs: 1,
		Cmdline: "quiet guest.filesystem=" + kind, Console: console, Progress: &tree,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	if err := m.Wait(); err != nil || console.LineWith("guest: the agent has worked") == "" {
		t.Fatalf("the guest did not do its work: %v%s", err, console.LastLines())
	}
	return strings.Split(strings.TrimSpace(tree.String()), "\n")
}
