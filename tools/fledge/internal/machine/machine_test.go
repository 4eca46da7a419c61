package machine

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

// kernels are the first bytes of kernels, as far as they tell the processor.
var kernels = map[string]string{
	"amd64": strings.Repeat("\x00", 0x202) + "HdrS",
	"arm64": strings.Repeat("\x00", 56) + "ARM\x64",
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// clear has none of the variables set that the package reads.
func clear(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"FLEDGE_KERNEL_BZIMAGE", "FLEDGE_KERNEL_VMLINUX", "FLEDGE_KERNEL_MODULES", "FLEDGE_KERNEL_ARM64", "FLEDGE_KERNEL_ARM64_MODULES",
		modeVariable, addrVariable, "FLEDGE_BUILDKIT_TLS_CA", "FLEDGE_BUILDKIT_TLS_CERT", "FLEDGE_BUILDKIT_TLS_KEY",
		"FLEDGE_BUILDKIT_TLS_SERVER_NAME", cloudhypervisor.Variable, "FLEDGE_QEMU", "FLEDGE_QEMU_ARM64", payload.Variable,
		fill.Variable(fill.XFS), fill.Variable(fill.Btrfs),
	} {
		t.Setenv(name, "")
	}
}

func TestFindKernel(t *testing.T) {
	dir := t.TempDir()
	amd64, arm64 := write(t, dir+"/bzImage", kernels["amd64"]), write(t, dir+"/Image", kernels["arm64"])
	debian, arch, other, empty := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for _, root := range []string{debian, arch, other} {
		write(t, root+"/proc/sys/kernel/osrelease", "6.1.0-9-amd64\n")
	}
	write(t, debian+"/boot/vmlinuz-6.1.0-9-amd64", kernels["amd64"])
	write(t, debian+"/lib/modules/6.1.0-9-amd64/modules.order", "")
	write(t, arch+"/lib/modules/6.1.0-9-amd64/vmlinuz", kernels["amd64"])
	env := func(pairs ...string) []string { return pairs }
	for _, tt := range []struct {
		name    string
		options KernelOptions
		env     []string
		want    Kernel
		note    bool
		err     string
	}{
		{"flag", KernelOptions{Arch: "amd64", File: amd64, root: debian}, env("FLEDGE_KERNEL_BZIMAGE", "/none", "FLEDGE_KERNEL_MODULES", "/none"), Kernel{File: amd64}, false, ""},
		{"flags", KernelOptions{Arch: "amd64", File: amd64, Modules: dir}, nil, Kernel{File: amd64, Modules: dir}, false, ""},
		{"environment", KernelOptions{Arch: "amd64", root: debian}, env("FLEDGE_KERNEL_BZIMAGE", amd64, "FLEDGE_KERNEL_VMLINUX", arm64, "FLEDGE_KERNEL_MODULES", dir), Kernel{amd64, arm64, dir}, false, ""},
		{"environment for arm64", KernelOptions{Arch: "arm64", root: debian}, env("FLEDGE_KERNEL_ARM64", arm64, "FLEDGE_KERNEL_ARM64_MODULES", dir), Kernel{arm64, "", dir}, false, ""},
		{"Debian", KernelOptions{Arch: "amd64", root: debian}, nil, Kernel{debian + "/boot/vmlinuz-6.1.0-9-amd64", "", debian + "/lib/modules/6.1.0-9-amd64"}, true, ""},
		{"Arch Linux", KernelOptions{Arch: "amd64", root: arch}, nil, Kernel{arch + "/lib/modules/6.1.0-9-amd64/vmlinuz", "", arch + "/lib/modules/6.1.0-9-amd64"}, true, ""},
		{"host of another processor", KernelOptions{Arch: "arm64", root: debian}, nil, Kernel{}, false, "vmlinuz-6.1.0-9-amd64 is for amd64, and the guest is arm64, "},
		{"host without", KernelOptions{Arch: "amd64", root: other}, nil, Kernel{}, false, "/boot/vmlinuz-6.1.0-9-amd64: no such file"},
		{"no Linux host", KernelOptions{Arch: "amd64", root: empty}, nil, Kernel{}, false, "this machine is no Linux machine"},
		{"what to do", KernelOptions{Arch: "arm64", root: empty}, nil, Kernel{}, false, "neither --kernel nor FLEDGE_KERNEL_ARM64 names one, "},
		{"Debian's package", KernelOptions{Arch: "amd64", root: empty}, nil, Kernel{}, false, "linux-image-cloud-amd64 has one: /boot/vmlinuz-RELEASE"},
		{"wrong flag", KernelOptions{Arch: "amd64", File: "/none"}, nil, Kernel{}, false, "kernel (--kernel): stat /none"},
		{"flag of another processor", KernelOptions{Arch: "amd64", File: arm64}, nil, Kernel{}, false, "Image is for arm64, and the guest is amd64"},
		{"wrong environment", KernelOptions{Arch: "amd64", root: debian}, env("FLEDGE_KERNEL_BZIMAGE", "/none"), Kernel{}, false, "kernel (FLEDGE_KERNEL_BZIMAGE): stat /none"},
		{"wrong modules", KernelOptions{Arch: "amd64", File: amd64, Modules: "/none"}, nil, Kernel{}, false, "stat /none"},
		{"unknown processor", KernelOptions{Arch: "mips"}, nil, Kernel{}, false, `arch "mips"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clear(t)
			for pair := range slices.Chunk(tt.env, 2) {
				t.Setenv(pair[0], pair[1])
			}
			notes := ""
			tt.options.Note = func(line string) { notes += line }
			got, err := FindKernel(tt.options)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || (notes != "") != tt.note {
				t.Errorf("notes %q (-want +got):\n%s", notes, diff)
			}
		})
	}
}

func TestGuestArch(t *testing.T) {
	for arch, content := range kernels {
		if got := GuestArch(write(t, t.TempDir()+"/kernel", content)); got != arch {
			t.Errorf("%s, want %s", got, arch)
		}
	}
	for _, kernel := range []string{"", "/none", write(t, t.TempDir()+"/kernel", "compressed")} {
		if got := GuestArch(kernel); got != runtime.GOARCH {
			t.Errorf("%s, want %s", got, runtime.GOARCH)
		}
	}
}

// static is what passes for a static program: the head of one.
func static(arch string) string {
	var b bytes.Buffer
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Ehsize: 64, Phentsize: 56, Shentsize: 64}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	binary.Write(&b, binary.LittleEndian, h)
	return b.String()
}

// setPayload makes a payload and has the environment name it.
func setPayload(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	source := payload.Source{Programs: map[string]string{}, GoSum: write(t, dir+"/go.sum", "")}
	for _, arch := range []string{"amd64", "arm64"} {
		source.Programs["init-"+arch] = write(t, dir+"/init-"+arch, static(arch))
		source.Programs["guest-"+arch] = write(t, dir+"/guest-"+arch, static(arch)+"guest")
		source.Programs["fill-"+arch] = write(t, dir+"/fill-"+arch, static(arch)+"fill")
	}
	var b bytes.Buffer
	if err := payload.Write(&b, 0, source); err != nil {
		t.Fatal(err)
	}
	t.Setenv(payload.Variable, write(t, dir+"/payload", b.String()))
}

func TestPrepareMachine(t *testing.T) {
	clear(t)
	setPayload(t)
	dir := t.TempDir()
	emulator := write(t, dir+"/qemu", "#!/bin/sh\n")
	if err := os.Chmod(emulator, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLEDGE_QEMU_ARM64", emulator)
	t.Setenv("FLEDGE_KERNEL_ARM64", write(t, dir+"/Image", kernels["arm64"]))
	o := Options{Arch: "arm64", Cache: dir + "/cache", VMM: "qemu"}
	got, err := Prepare(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := Solver{}
	want.Machine.Driver, want.Machine.Kernel = qemu.Driver{Program: emulator}, dir+"/Image"
	want.Machine.MemoryMB, want.Machine.CPUs, want.Machine.ScratchMB, want.Machine.OutputMB = 2048, 2, 16<<10, 16<<10
	want.Machine.Limit, want.Machine.Initramfs = got.Machine.Limit, got.Machine.Initramfs
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(qemu.Driver{}, "Note")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if filepath.Dir(got.Machine.Initramfs) != dir+"/cache/initramfs" || !bytes.Contains(unzipped(t, got.Machine.Initramfs), []byte(static("arm64")+"guest")) {
		t.Errorf("initramfs %s lacks the guest", got.Machine.Initramfs)
	}
	before, err := os.Stat(got.Machine.Initramfs)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Prepare(t.Context(), o)
	if err != nil || again.Machine.Initramfs != got.Machine.Initramfs {
		t.Fatalf("%s, %v, want %s", again.Machine.Initramfs, err, got.Machine.Initramfs)
	}
	if after, err := os.Stat(got.Machine.Initramfs); err != nil || !os.SameFile(before, after) {
		t.Errorf("it is made twice (%v)", err)
	}
}

// TestPrepareFill finds mkfs where the environment or the host has it, and gives the machine the program that fills.
func TestPrepareFill(t *testing.T) {
	clear(t)
	setPayload(t)
	dir := t.TempDir()
	program := write(t, dir+"/program", "#!/bin/sh\n")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLEDGE_QEMU", program)
	t.Setenv(fill.Variable(fill.XFS), program)
	kernel := write(t, dir+"/bzImage", kernels["amd64"])
	o := Options{Arch: "amd64", Cache: dir + "/cache", VMM: "qemu", Kernel: kernel}
	got, err := PrepareFill(t.Context(), o, fill.XFS)
	if err != nil {
		t.Fatal(err)
	}
	want := Filler{Mkfs: program, Machine: fill.Machine{
		Driver: qemu.Driver{Program: program}, Arch: "amd64", Kernel: kernel, Initramfs: got.Machine.Initramfs,
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(qemu.Driver{}, "Note")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !bytes.Contains(unzipped(t, got.Machine.Initramfs), []byte(static("amd64")+"fill")) {
		t.Errorf("initramfs %s lacks the program", got.Machine.Initramfs)
	}
	o.Kernel = dir + "/gone"
	if _, err := PrepareFill(t.Context(), o, fill.XFS); err == nil || !strings.Contains(err.Error(), "xfs is filled in a virtual machine: kernel (--kernel): stat ") {
		t.Errorf("no kernel: %v", err)
	}
	t.Setenv(fill.Variable(fill.Btrfs), dir+"/gone")
	if _, err := PrepareFill(t.Context(), o, fill.Btrfs); err == nil || !strings.Contains(err.Error(), "of the package btrfs-progs") {
		t.Errorf("no mkfs: %v", err)
	}
}

func unzipped(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestModules has the initramfs of a real kernel's modules, and another one than without.
func TestModules(t *testing.T) {
	kernel, modules := os.Getenv("FLEDGE_KERNEL_BZIMAGE"), os.Getenv("FLEDGE_KERNEL_MODULES")
	if kernel == "" || modules == "" || os.Getenv("FLEDGE_QEMU") == "" {
		t.Skip("needs a kernel: set FLEDGE_QEMU, FLEDGE_KERNEL_BZIMAGE and FLEDGE_KERNEL_MODULES")
	}
	t.Setenv(modeVariable, "")
	setPayload(t)
	o := Options{Arch: "amd64", Cache: t.TempDir(), VMM: "qemu"}
	with, err := Prepare(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(unzipped(t, with.Machine.Initramfs), []byte("-virtio_blk.ko")) {
		t.Error("no virtio_blk in the initramfs")
	}
	t.Setenv("FLEDGE_KERNEL_MODULES", "")
	without, err := Prepare(t.Context(), o)
	if err != nil || without.Machine.Initramfs == with.Machine.Initramfs {
		t.Errorf("%s with modules and without (%v)", without.Machine.Initramfs, err)
	}
}

func TestPrepareDaemon(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the guest is a Linux program")
	}
	clear(t)
	setPayload(t)
	t.Setenv(modeVariable, "daemon")
	t.Setenv(addrVariable, "tcp://there:1")
	t.Setenv("FLEDGE_BUILDKIT_TLS_CA", "ca.pem")
	dir := t.TempDir()
	got, err := Prepare(t.Context(), Options{Arch: "amd64", Cache: dir})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(got.Program.Path)
	if err != nil || string(b) != static(runtime.GOARCH)+"guest" || got.Machine.OutputMB == 0 {
		t.Errorf("program %q, %v, machine %+v", b, err, got.Machine)
	}
	if want := []string{"-addr", "tcp://there:1", "-tls-ca", "ca.pem"}; !slices.Equal(got.Program.Args, want) {
		t.Errorf("arguments %q, want %q", got.Program.Args, want)
	}
	t.Setenv(addrVariable, "")
	if _, err := Prepare(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "set FLEDGE_BUILDKIT_ADDR") {
		t.Errorf("no address: %v", err)
	}
	t.Setenv(modeVariable, "both")
	if _, err := Prepare(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "FLEDGE_BUILDKIT_MODE=both: it is vm or daemon") {
		t.Errorf("another mode: %v", err)
	}
}
