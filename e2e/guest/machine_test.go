package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// bootLimit is enough for an emulated machine on a busy host.
const bootLimit = 4 * time.Minute

// outputSize is that of the output disk, a sparse file.
const outputSize = 1 << 30

// kit is what all tests need, made once.
type kit struct {
	guest, kernel, qemu, initramfs string
}

func newKit(t *testing.T, flags ...string) kit {
	t.Helper()
	harness.NeedSlow(t, "builds BuildKit and boots several machines")
	if runtime.GOARCH != "amd64" {
		t.Skip("the command line of QEMU below is that of amd64")
	}
	k := kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), guest: filepath.Join(t.TempDir(), "guest")}
	modules := os.Getenv("FLEDGE_KERNEL_MODULES")
	if k.kernel == "" || modules == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE and FLEDGE_KERNEL_MODULES to it and its modules")
	}
	var err error
	if k.qemu, err = qemu.Find(runtime.GOARCH, os.Getenv("FLEDGE_QEMU")); err != nil {
		t.Skip(err)
	}
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", k.guest}, flags...)
	build := exec.Command("go", append(args, ".")...)
	build.Dir = filepath.Join(toolrun.Repository(), "tools/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	k.initramfs = filepath.Join(t.TempDir(), "initramfs")
	k.writeInitramfs(t, modules)
	return k
}

func (k kit) writeInitramfs(t *testing.T, modules string) {
	tree, err := kmod.Open(modules)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	var wanted []string
	for _, m := range []string{"virtio_mmio", "virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "overlay"} {
		if tree.Has(m) {
			wanted = append(wanted, m)
		}
	}
	list, err := tree.Resolve(wanted)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(k.guest)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		t.Fatal(err)
	}
	w := cpio.NewWriter(z)
	inode := uint32(0)
	add := func(h cpio.Header, data []byte) {
		inode++
		h.Inode, h.Size = inode, int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	for _, dir := range []string{"dev", wire.ModulesDir} {
		add(cpio.Header{Name: dir, Mode: cpio.TypeDir | 0o755}, nil)
	}
	add(cpio.Header{Name: "dev/console", Mode: cpio.TypeChar | 0o600, Major: 5, Minor: 1}, nil)
	add(cpio.Header{Name: "dev/null", Mode: cpio.TypeChar | 0o666, Major: 1, Minor: 3}, nil)
	add(cpio.Header{Name: wire.InitFile, Mode: cpio.TypeRegular | 0o755}, program)
	for i, m := range list {
		name := fmt.Sprintf("%s/%03d-%s.ko", wire.ModulesDir, i, m.Name)
		add(cpio.Header{Name: name, Mode: cpio.TypeRegular | 0o644}, m.Data)
	}
	w.Close()
	z.Close()
	if err := os.WriteFile(k.initramfs, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("guest %d bytes, initramfs %d bytes", len(program), b.Len())
}

// solve is one run, in a machine or on the host.
type solve struct {
	input   []byte
	secrets wire.Secrets
	memory  int    // MiB; 1024 by default
	machine string // "pci" for q35; microvm by default
	scratch int64  // bytes of the scratch disk
	cmdline string // further kernel parameters
	network bool   // a network device
}

// outcome is what a run left.
type outcome struct {
	result  wire.Result
	image   []byte
	events  []wire.Event
	console string
	took    time.Duration
}

func (o outcome) log() string {
	var b strings.Builder
	for _, e := range o.events {
		if e.Kind == wire.EventLog {
			fmt.Fprintln(&b, e.Text)
		}
	}
	return b.String()
}

// disks writes the disks of a run into a folder.
func (s solve) disks(t *testing.T) (dir string, nonce wire.Nonce) {
	t.Helper()
	dir = t.TempDir()
	rand.Read(nonce[:])
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("input", s.input)
	if len(s.secrets.Secrets)+len(s.secrets.SSH) > 0 {
		b, err := s.secrets.Encode()
		if err != nil {
			t.Fatal(err)
		}
		write("secrets", b)
	}
	if s.scratch > 0 {
		write("scratch", append(make([]byte, wire.HeaderOffset), wire.ScratchMagic...))
		if err := os.Truncate(filepath.Join(dir, "scratch"), s.scratch); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(outputSize); err != nil {
		t.Fatal(err)
	}
	if err := wire.FormatOutput(f, nonce); err != nil {
		t.Fatal(err)
	}
	return dir, nonce
}

// boot runs s in a machine.
func (k kit) boot(t *testing.T, s solve) outcome {
	t.Helper()
	dir, nonce := s.disks(t)
	if s.memory == 0 {
		s.memory = 1024
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	var console bytes.Buffer
	cmd := exec.CommandContext(ctx, k.qemu, k.arguments(s, dir)...)
	cmd.Stdout, cmd.Stderr = &console, &console
	start := time.Now()
	err := cmd.Run()
	o := outcome{console: console.String(), took: time.Since(start)}
	if err != nil {
		t.Fatalf("QEMU: %v\n%s", err, o.console)
	}
	o.read(t, dir, nonce)
	return o
}

func (k kit) arguments(s solve, dir string) []string {
	bus, machine := "device", "microvm,accel=tcg"
	if s.machine == "pci" {
		bus, machine = "pci", "q35,accel=tcg"
	}
	cmdline := "console=ttyS0 quiet panic=-1 reboot=t " + s.cmdline
	// An emulated processor's clock is the host's. On a busy host the kernel fails to measure it and hangs.
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`cpu MHz\s*: (\d+)\.(\d{3})`).FindSubmatch(info); m != nil {
			cmdline += fmt.Sprintf(" tsc_early_khz=%s%s", m[1], m[2])
		}
	}
	args := []string{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-M", machine, "-cpu", "max", "-m", fmt.Sprint(s.memory), "-smp", "2", "-kernel", k.kernel, "-append", cmdline,
		"-initrd", k.initramfs, "-device", "virtio-rng-" + bus,
		"-chardev", "file,id=progress,path=" + filepath.Join(dir, "events"),
		"-device", "virtio-serial-" + bus, "-device", "virtconsole,chardev=progress"}
	if s.network {
		args = append(args, "-netdev", "user,id=net", "-device", "virtio-net-"+bus+",netdev=net")
	}
	for _, name := range []string{"scratch", "output", "secrets", "input"} {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		drive := "if=none,format=raw,cache=unsafe,discard=unmap,id=" + name + ",file=" + file
		if name == "input" || name == "secrets" {
			drive += ",readonly=on"
		}
		args = append(args, "-drive", drive, "-device", "virtio-blk-"+bus+",drive="+name)
	}
	return args
}

// host runs s with the same program on this machine, as root, in a mount namespace of its own.
func (k kit) host(t *testing.T, s solve, more ...string) outcome {
	t.Helper()
	dir, nonce := s.disks(t)
	args := []string{"-input", filepath.Join(dir, "input"), "-output", filepath.Join(dir, "output")}
	if _, err := os.Stat(filepath.Join(dir, "secrets")); err == nil {
		args = append(args, "-secrets", filepath.Join(dir, "secrets"))
	}
	script := `exec "$@"`
	if len(more) == 0 {
		state := filepath.Join(dir, "state")
		if err := os.Mkdir(state, 0o700); err != nil {
			t.Fatal(err)
		}
		script = "mount --make-rprivate / && mount -t tmpfs tmpfs " + state + ` && exec "$@"`
		more = []string{"-embedded", state}
	}
	cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c", script, "sh", k.guest}, append(args, more...)...)...)
	events, err := os.Create(filepath.Join(dir, "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = events, &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("guest: %v\n%s", err, stderr.String())
	}
	o := outcome{took: time.Since(start)}
	o.read(t, dir, nonce)
	return o
}

func (o *outcome) read(t *testing.T, dir string, nonce wire.Nonce) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if o.result, err = wire.ReadResult(f, nonce); err != nil {
		t.Fatalf("%v\n%s", err, o.console)
	}
	if p := o.result.Payload; p != nil {
		var b bytes.Buffer
		if err := wire.CopyPayload(&b, f, *p); err != nil {
			t.Fatal(err)
		}
		o.image = b.Bytes()
	}
	text, err := os.ReadFile(filepath.Join(dir, "events"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		e, err := wire.DecodeEvent(line)
		if err != nil {
			t.Errorf("%v: %q", err, line)
			continue
		}
		o.events = append(o.events, e)
	}
}
