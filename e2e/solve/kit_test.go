// Package solve solves Dockerfiles as a user does, with the real guest in a real machine, and breaks what can break.
package solve

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// programs is where the programs are built once for all tests.
var programs string

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fledge-solve-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // another user runs them, too
		panic(err)
	}
	programs = dir
	return m.Run()
}

// kit is what a solve needs.
type kit struct{ solver, kernel, modules, initramfs, base string }

var build = sync.OnceValues(func() (kit, error) {
	k := kit{
		solver: filepath.Join(programs, "solver"), kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), modules: os.Getenv("FLEDGE_KERNEL_MODULES"),
		initramfs: filepath.Join(programs, "guest.cpio.gz"),
	}
	packer, guest := filepath.Join(programs, "packer"), filepath.Join(programs, "guest")
	for _, c := range []struct{ dir, out, pkg string }{
		{".", k.solver, "./tools/solver"}, {".", packer, "./tools/packer"}, {"tools/guest", guest, "."},
	} {
		if err := toolrun.Build(c.dir, c.pkg, c.out); err != nil {
			return k, err
		}
	}
	out, err := exec.Command(packer, "guest-initramfs", "--guest", guest, "--kernel-modules", k.modules, "--out", k.initramfs).CombinedOutput()
	if err != nil {
		return k, fmt.Errorf("packer guest-initramfs: %w\n%s", err, out)
	}
	return k, nil
})

func newKit(t *testing.T) kit {
	t.Helper()
	harness.NeedSlow(t, "builds BuildKit and boots machines")
	if os.Getenv("FLEDGE_KERNEL_BZIMAGE") == "" || os.Getenv("FLEDGE_KERNEL_MODULES") == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	if _, err := qemu.Find(runtime.GOARCH, os.Getenv("FLEDGE_QEMU")); err != nil {
		t.Skip(err)
	}
	imagetest.Need(t, "busybox")
	k, err := build()
	if err != nil {
		t.Fatal(err)
	}
	k.base = baseImage(t)
	return k
}

// baseImage writes an image of one layer, busybox with its applets, as an archive of docker save.
func baseImage(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entry := func(name string, kind byte, mode int64, data string) imagetest.File {
		h := tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(1700000000, 0)}
		if kind == tar.TypeSymlink {
			h.Linkname, data = data, ""
		}
		return imagetest.File{Header: h, Data: data}
	}
	files := []imagetest.File{
		entry("bin/", tar.TypeDir, 0o755, ""), entry("etc/", tar.TypeDir, 0o755, ""), entry("tmp/", tar.TypeDir, 0o1777, ""),
		entry("bin/busybox", tar.TypeReg, 0o755, string(busybox)),
		entry("etc/passwd", tar.TypeReg, 0o644, "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"),
		entry("etc/group", tar.TypeReg, 0o644, "root:x:0:\napp:x:1000:\n"),
	}
	for name := range strings.FieldsSeq(imagetest.Run(t, path, "--list")) {
		if name != "busybox" {
			files = append(files, entry("bin/"+name, tar.TypeSymlink, 0o777, "busybox"))
		}
	}
	layer := imagetest.Tar(t, files...)
	config := fmt.Sprintf(`{"os":"linux","architecture":%q,"config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[%q]}}`,
		runtime.GOARCH, sum(layer))
	out := filepath.Join(t.TempDir(), "base.tar")
	saved := imagetest.Tar(t, entry("layer.tar", tar.TypeReg, 0o644, string(layer)), entry("config.json", tar.TypeReg, 0o644, config),
		entry("manifest.json", tar.TypeReg, 0o644, `[{"Config":"config.json","Layers":["layer.tar"]}]`))
	if err := os.WriteFile(out, saved, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// job is a solve in a folder of its own.
type job struct {
	dir  string
	args []string
}

// job writes Dockerfile and context, and the command line.
func (k kit) job(t *testing.T, dockerfile string, files map[string]string, more ...string) job {
	t.Helper()
	j := job{dir: t.TempDir()}
	var spec []byte
	write := func(name, text string) string {
		file := filepath.Join(j.dir, "in", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	spec = fmt.Appendf(spec, "{\"src\": %q, \"dest\": \"/dockerfile/Dockerfile\", \"executable\": false}\n", write("Dockerfile", dockerfile))
	for name, text := range files {
		spec = fmt.Appendf(spec, "{\"src\": %q, \"dest\": %q, \"executable\": false}\n", write("context/"+name, text), "/context/"+name)
	}
	if err := os.Mkdir(filepath.Join(j.dir, "work"), 0o777); err != nil {
		t.Fatal(err)
	}
	j.args = append([]string{
		"--kernel", k.kernel, "--initramfs", k.initramfs, "--spec", write("spec", string(spec)),
		"--images", write("images", fmt.Sprintf(`{"refs": ["busybox:1"], "layout": %q}`, k.base)),
		"--out", j.out(), "--memory-mb", "768", "--timeout", "3m", "--vmm", "qemu",
		"--qemu", os.Getenv("FLEDGE_QEMU"),
	}, more...)
	return j
}

func (j job) out() string { return filepath.Join(j.dir, "work", "out") }

// run runs the solver; only the image may be left in its folder.
func (k kit) run(t *testing.T, j job) (said string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.solver, j.args...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	j.checkLeft(t, err == nil)
	return b.String(), err
}

// checkLeft looks for what a solve should not leave behind.
func (j job) checkLeft(t *testing.T, image bool) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(j.dir, "work"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !image || e.Name() != "out" {
			t.Errorf("%s stays behind", e.Name())
		}
	}
}

// digests gives the digest of every file of a layout.
func digests(t *testing.T, layout string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(layout, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, layout)] = sum(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
