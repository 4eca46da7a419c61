// Package boot boots images under QEMU: what the init makes of a machine, and how it fails.
package boot

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// guest is the architecture of kernel and guest.
const guest = runtime.GOARCH

// kit is what the boots need, built once.
type kit struct {
	dir, kernel, modules            string
	boot, packer, init, agent       string
	helloAgent, helloServer         string
	initramfs, image, bareInitramfs string
}

// newKit builds the tools and an image.
func newKit(t *testing.T) *kit {
	t.Helper()
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("this test builds Go programs: run it with go test ./e2e/boot; under Bazel there is fledge_boot_test")
	}
	k := &kit{dir: t.TempDir(), kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), modules: os.Getenv("FLEDGE_KERNEL_MODULES")}
	if k.kernel == "" || k.modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	if _, err := qemu.Find(guest, os.Getenv(qemu.Variable(guest))); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("builds the tools: %v", err)
	}
	for pkg, program := range map[string]*string{
		"tools/boot": &k.boot, "tools/packer": &k.packer, "tools/init": &k.init, "e2e/boot/agent": &k.agent,
		"examples/hello/agent": &k.helloAgent, "examples/hello/server": &k.helloServer,
	} {
		*program = filepath.Join(k.dir, strings.ReplaceAll(pkg, "/", "-"))
		if err := toolrun.Build(".", "./"+pkg, *program); err != nil {
			t.Fatal(err)
		}
	}
	k.initramfs = k.makeInitramfs(t, "boot", "--kernel-modules", k.modules)
	k.bareInitramfs = k.makeInitramfs(t, "bare")
	k.image = k.makeImage(t, "image", map[string]string{"bin/kestrel": k.agent})
	return k
}

func (k *kit) makeInitramfs(t *testing.T, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(k.dir, name+".cpio.gz")
	r := harness.MustRun(t, k.packer, append([]string{"boot-initramfs", "--init", k.init, "--out", out}, args...)...)
	t.Log(strings.TrimSpace(r.Output))
	return out
}

// makeImage makes an image with a few files and the given programs, and a root that has no proc, sys and dev.
func (k *kit) makeImage(t *testing.T, name string, programs map[string]string) string {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	add := func(name string, mode fs.FileMode, data []byte) {
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: int64(mode.Perm()), Size: int64(len(data))}
		h.ModTime = time.Unix(1600000000, 0)
		if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if name == "./" {
			h.Mode, h.Uid, h.Gid = 0o1751, 12, 34
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"./", "bin/", "etc/", "usr/", "usr/bin/", "var/"} {
		add(dir, 0o755, nil)
	}
	add("etc/changed", 0o644, []byte("old"))
	add("etc/deleted", 0o644, []byte("old"))
	for path, file := range programs {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		add(path, st.Mode(), data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(k.dir, name)
	if err := os.WriteFile(base+".tar", layer.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	fast := []string{"--compression", "zstd", "--level", "1"}
	harness.MustRun(t, k.packer, append([]string{"pack", "--layer", base + ".tar", "--out", base + ".pack"}, fast...)...)
	harness.MustRun(t, k.packer, append([]string{"rootfs", "--pack", base + ".pack", "--out", base + ".img"}, fast...)...)
	return base + ".img"
}

// run boots with the boot command.
func (k *kit) run(t *testing.T, args ...string) toolrun.Result {
	t.Helper()
	args = append([]string{"--kernel", k.kernel, "--memory-mb", "256", "--timeout", "120"}, args...)
	r, err := toolrun.Run(k.boot, args...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(r.Output) {
		if strings.HasPrefix(line, "boot: ") && !strings.Contains(line, "to repeat") {
			t.Log(strings.TrimSpace(line))
		}
	}
	return r
}

func TestBoot(t *testing.T) {
	k := newKit(t)
	t.Run("overlay", func(t *testing.T) { k.testOverlay(t) })
	t.Run("command line", func(t *testing.T) { k.testCommandLine(t) })
	t.Run("http", func(t *testing.T) { k.testHTTP(t) })
	for _, tt := range k.failures(t) {
		t.Run(tt.name, func(t *testing.T) {
			r := k.run(t, tt.args...)
			_, said, _ := strings.Cut(r.Output, "the guest said: fledge-init: error: ")
			if r.Code != 1 || !strings.Contains(said, tt.want) {
				t.Errorf("exit code %d, want 1 and the guest to say %q in\n%s", r.Code, tt.want, r.Output)
			}
		})
	}
}

// testOverlay checks what the agent finds.
func (k *kit) testOverlay(t *testing.T) {
	r := k.run(t, "--initramfs", k.initramfs, "--rootfs", k.image, "--verbose",
		"--expect", "fledge-init: /dev/vda (squashfs), overlay 1G, /bin/kestrel stage2",
		"--expect", `agent: pid 1, arguments ["/bin/kestrel" "stage2"]`,
		"--expect", "agent: mounts /proc:proc /sys:sysfs /dev:devtmpfs /:overlay",
		"--expect", "agent: root mode 1751, owner 12:34",
		"--expect", "agent: root of 1048576 KiB",
		"--expect", "agent: the root takes writes",
		"--expect", "agent: done")
	if r.Code != 0 || strings.Contains(r.Output, "agent: error") {
		t.Errorf("exit code %d\n%s", r.Code, r.Output)
	}
	for line := range strings.Lines(r.Output) {
		if value, ok := strings.CutPrefix(line, "agent: shared memory "); ok {
			var kib int
			if _, err := fmt.Sscanf(value, "%d kB", &kib); err != nil || kib > 256 {
				t.Errorf("shared memory %s: the initramfs takes up memory", strings.TrimSpace(value))
			}
		}
	}
}

// testCommandLine overrules the size, on a machine whose disk is on another bus.
func (k *kit) testCommandLine(t *testing.T) {
	args := []string{"--initramfs", k.initramfs, "--rootfs", k.image, "--cmdline", "overlay_size=1M overlay_size=64M",
		"--expect", "overlay 64M,", "--expect", "agent: root of 65536 KiB", "--expect", "agent: done"}
	if guest == "amd64" {
		args = append(args, "--machine", "microvm")
	}
	if r := k.run(t, args...); r.Code != 0 {
		t.Errorf("exit code %d\n%s", r.Code, r.Output)
	}
}

// testHTTP boots the example's agent and server.
func (k *kit) testHTTP(t *testing.T) {
	image := k.makeImage(t, "hello", map[string]string{"bin/kestrel": k.helloAgent, "usr/bin/hello": k.helloServer})
	manifest := filepath.Join(k.dir, "manifest.json")
	const content = `{"schema_version": "v1", "name": "hello", "version": "1", "runtime": "hello",
		"workload": {"type": "http", "entrypoint": ["/usr/bin/hello"]}}`
	if err := os.WriteFile(manifest, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	r := k.run(t, "--initramfs", k.initramfs, "--rootfs", image, "--manifest", manifest,
		"--http-port", "8080", "--http-expect", "Hello")
	if r.Code != 0 || !strings.Contains(r.Output, "boot: HTTP 200 OK from port 8080 after ") {
		t.Errorf("exit code %d\n%s", r.Code, r.Output)
	}
}

type failure struct {
	name string
	args []string
	want string // the init's message
}

func (k *kit) failures(t *testing.T) []failure {
	t.Helper()
	file := func(name, content string, mode fs.FileMode) string {
		path := filepath.Join(k.dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	agent := func(name, content string, mode fs.FileMode) string {
		return k.makeImage(t, name, map[string]string{"bin/kestrel": file(name, content, mode)})
	}
	disk := func(image string, args ...string) []string {
		return append([]string{"--initramfs", k.initramfs, "--rootfs", image}, args...)
	}
	const exec = "exec /bin/kestrel stage2: "
	return []failure{
		{
			"no disk", []string{"--initramfs", k.initramfs},
			"no virtio disk; attach the image as the machine's first virtio disk",
		},
		{
			"no driver", []string{"--initramfs", k.bareInitramfs, "--rootfs", k.image},
			"no virtio disk; one is on the PCI bus, but the kernel has no virtio_pci",
		},
		{
			"other kernel's modules", []string{"--initramfs", k.foreignModules(t), "--rootfs", k.image},
			".ko: exec format error; it does not belong to the kernel that runs, ", // of the first, which varies
		},
		{
			"no file system", disk(file("zeros", strings.Repeat("\x00", 1<<16), 0o644)),
			"/dev/vda holds no file system that boots (squashfs, erofs, ext4, xfs or btrfs), its first bytes are 00 00 00 00 00 00 00 00;",
		},
		{
			"bad size", disk(k.image, "--cmdline", "overlay_size=lots"),
			`kernel command line: overlay_size "lots" is not a size`,
		},
		{
			"no agent", disk(k.makeImage(t, "empty", nil)),
			exec + "no such file or directory; the image has no agent",
		},
		{
			"no interpreter", disk(agent("script", "#!/bin/none\n", 0o755)),
			exec + "no such file or directory; it is there, but the interpreter",
		},
		{
			"not executable", disk(agent("plain", "x", 0o644)),
			exec + "permission denied; it is not an executable file",
		},
		{
			"no program", disk(agent("text", "hello", 0o755)),
			exec + "exec format error; it is no program for this machine",
		},
	}
}

// foreignModules makes an initramfs with modules that pretend to be another kernel's.
func (k *kit) foreignModules(t *testing.T) string {
	t.Helper()
	release := filepath.Base(k.modules)
	other := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '8' {
			return r + 1
		}
		return r
	}, release)
	dir := filepath.Join(k.dir, "foreign", other)
	for _, name := range []string{
		"modules.builtin", "kernel/drivers/virtio/virtio.ko", "kernel/drivers/virtio/virtio_ring.ko",
		"kernel/drivers/virtio/virtio_mmio.ko", "kernel/drivers/block/virtio_blk.ko", "kernel/fs/squashfs/squashfs.ko",
		"kernel/fs/overlayfs/overlay.ko",
	} {
		data, err := os.ReadFile(filepath.Join(k.modules, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		// With symbol versions the kernel compares only the rest of the line after the release.
		data = bytes.ReplaceAll(data, []byte(release+" SMP "), []byte(other+" UP. "))
		data = bytes.TrimSuffix(data, []byte("~Module signature appended~\n")) // it is not signed any more
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return k.makeInitramfs(t, "foreign", "--kernel-modules", dir)
}
