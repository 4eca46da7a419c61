package initboot

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// guest is the architecture of kernel and guest.
const guest = runtime.GOARCH

// bootLimit is enough for an emulated machine on a busy host; a quiet one boots in three seconds.
const bootLimit = 2 * time.Minute

// kit is what the boots need, made once.
type kit struct {
	kernel, qemu string
	init, report []byte
}

func newKit(t *testing.T) *kit {
	t.Helper()
	harness.NeedSlow(t, "boots a dozen machines")
	k := &kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE")}
	if k.kernel == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it")
	}
	var err error
	if k.qemu, err = qemu.Find(guest, os.Getenv("FLEDGE_QEMU")); err != nil {
		t.Skip(err)
	}
	k.init = build(t, "./tools/init", guest)
	k.report = build(t, "./e2e/initboot/report", guest)
	return k
}

// build builds a static program of this repository.
func build(t *testing.T, pkg, arch string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Env = toolrun.Repository(), append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// tree is what an initramfs has besides the init.
type tree []entry

type entry struct {
	cpio.Header
	content string
}

func dir(name string, mode uint32) entry {
	return entry{Header: cpio.Header{Name: name, Mode: cpio.TypeDir | mode}}
}

func file(name string, mode uint32, content string) entry {
	return entry{cpio.Header{Name: name, Mode: cpio.TypeRegular | mode}, content}
}

func link(name, target string) entry {
	return entry{cpio.Header{Name: name, Mode: cpio.TypeSymlink | 0o777}, target}
}

func device(name string, major, minor uint32) entry {
	return entry{Header: cpio.Header{Name: name, Mode: cpio.TypeChar | 0o600, Major: major, Minor: minor}}
}

// devices are those that the kernel and Go's runtime want before anything is mounted.
var devices = tree{dir("dev", 0o755), device("dev/console", 5, 1), device("dev/null", 1, 3)}

// initramfs writes the archive, uncompressed.
func (k *kit) initramfs(t *testing.T, conf bootconf.Config, extra tree) string {
	t.Helper()
	entries := append(tree{
		file("init", 0o755, string(k.init)), dir("fledge", 0o755), dir(bootconf.ModulesDir, 0o755),
		file(bootconf.File, 0o644, string(conf.Format())),
	}, extra...)
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for i, e := range entries {
		e.Inode, e.Size = uint32(i+1), int64(len(e.content))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "initramfs.cpio")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// boot runs a machine until it powers off and returns the lines of its console.
func (k *kit) boot(t *testing.T, conf bootconf.Config, extra tree, cmdline string) []string {
	t.Helper()
	driver := qemu.Driver{Program: k.qemu}
	if guest == "amd64" {
		driver.Type = "microvm" // the quickest to boot
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	var console bytes.Buffer
	start := time.Now()
	m, err := driver.Start(ctx, vmm.Spec{
		Arch: guest, Kernel: k.kernel, Initramfs: k.initramfs(t, conf, extra), MemoryMB: 256, CPUs: 1,
		Cmdline: strings.TrimSpace("quiet " + cmdline), Console: &console,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	err = m.Wait()
	t.Logf("off after %.1f s", time.Since(start).Seconds())
	text := strings.ReplaceAll(console.String(), "\r", "")
	if err != nil || strings.Contains(text, "Kernel panic") {
		t.Fatalf("the machine did not power off: %v\n%s", err, text)
	}
	return strings.Split(text, "\n")
}

// said is what the lines with a prefix have after it.
func said(console []string, prefix string) []string {
	var found []string
	for _, line := range console {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			found = append(found, rest)
		}
	}
	return found
}
