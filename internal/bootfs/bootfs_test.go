package bootfs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	reader "github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/fledge-build/fledge/internal/kmod"
)

// program is the start of a static ELF file for amd64 (62) or arm64 (183); interp adds the program header of a dynamic
// one.
func program(machine byte, interp bool) []byte {
	h := make([]byte, 64+56)
	copy(h, "\x7fELF\x02\x01\x01")
	h[16], h[18], h[20] = 2, machine, 1 // ET_EXEC, e_machine, e_version
	h[32], h[52], h[54], h[56] = 64, 64, 56, 1
	h[58] = 64
	h[64] = 1 // PT_LOAD
	if interp {
		h[64] = 3
	}
	return h
}

var amd64 = program(62, false)

type entry struct {
	mode     reader.FileMode
	dev      int
	contents string
}

func unpack(t *testing.T, b []byte) (names []string, entries map[string]entry) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	entries = map[string]entry{}
	for r := reader.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names, entries
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Guid != 0 || !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %d:%d, time %v; want 0:0 and the epoch", h.Name, h.Uid, h.Guid, h.ModTime)
		}
		names = append(names, h.Name)
		entries[h.Name] = entry{mode: h.Mode, dev: h.DeviceID, contents: string(data)}
	}
}

func write(t *testing.T, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWrite(t *testing.T) {
	b := write(t, Options{Init: amd64, OverlaySize: "512M", Modules: []kmod.Module{
		{Name: "virtio_ring", Data: []byte("ring"), Arch: "amd64"}, {Name: "virtio", Data: []byte("v"), Arch: "amd64"},
	}})
	names, entries := unpack(t, b)
	want := []string{"dev", "proc", "sys", "fledge", "fledge/modules", "dev/console", "dev/null", "init",
		"fledge/boot.conf", "fledge/modules/virtio_ring.ko", "fledge/modules/virtio.ko"}
	const conf = "overlay_size=512M\nmodule=virtio_ring.ko\nmodule=virtio.ko\n"
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	for name, want := range map[string]entry{
		"dev":                      {mode: reader.TypeDir | 0o755},
		"dev/console":              {mode: reader.TypeChar | 0o600},
		"init":                     {mode: reader.TypeReg | 0o755, contents: string(amd64)},
		"fledge/boot.conf":         {mode: reader.TypeReg | 0o644, contents: conf},
		"fledge/modules/virtio.ko": {mode: reader.TypeReg | 0o644, contents: "v"},
	} {
		if got := entries[name]; got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// TestGolden guards the bytes: a change of compressor or layout makes every image a new one and must be on purpose.
func TestGolden(t *testing.T) {
	o := Options{Init: bytes.Repeat(amd64, 3), OverlaySize: "1G",
		Modules: []kmod.Module{{Name: "m", Data: bytes.Repeat([]byte("module "), 999), Arch: "amd64"}}}
	b := write(t, o)
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255}) {
		t.Errorf("gzip header % x tells more than it must", b[:10])
	}
	const want = "17fe12525342e983e8e7ab5f7b4cbfa4ffb77be443ea0c65542ecdd272867825"
	if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if !bytes.Equal(b, write(t, o)) {
		t.Error("the second run gave other bytes")
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{Init: amd64, OverlaySize: "big"}, `overlay_size "big" is not a size`},
		{Options{Init: amd64, OverlaySize: "1G", Verity: "on"}, `verity "on" is not 64 lower-case hex digits, or "cmdline"`},
		{Options{Init: amd64}, `overlay_size "" is not a size`},
		{Options{Init: []byte("#!/bin/sh\n"), OverlaySize: "1G"}, "init: not a Linux program"},
		{Options{Init: program(62, true), OverlaySize: "1G"}, "init: it needs a dynamic loader"},
		{
			Options{Init: program(183, false), OverlaySize: "1G", Modules: []kmod.Module{{Name: "overlay", Arch: "amd64"}}},
			"init is for arm64, but module overlay is for amd64",
		},
	} {
		var b bytes.Buffer
		if err := Write(&b, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one about %q", err, tt.want)
		}
		if b.Len() != 0 {
			t.Errorf("%s: %d bytes written in spite of the error", tt.want, b.Len())
		}
	}
	full := errors.New("disk full")
	if err := Write(failingWriter{full}, Options{Init: amd64, OverlaySize: "1G"}); !errors.Is(err, full) {
		t.Errorf("a failing writer gave %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestRealKernel makes the initramfs of a real kernel and has other programs read it.
func TestRealKernel(t *testing.T) {
	src := os.Getenv("FLEDGE_KERNEL_MODULES")
	if src == "" {
		t.Skip("needs FLEDGE_KERNEL_MODULES, the folder lib/modules/RELEASE of a kernel")
	}
	kernel, err := kmod.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := Needs{Filesystem: "squashfs", Compression: "zstd"}.SelectModules(kernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	init := amd64
	if modules[0].Arch == "arm64" {
		init = program(183, false)
	}
	b := write(t, Options{Init: init, OverlaySize: "1G", Modules: modules})
	names, _ := unpack(t, b)
	t.Logf("kernel %s: %d bytes, %d modules: %s", kernel.Release(), len(b), len(modules), strings.Join(names[9:], " "))
	if _, err := exec.LookPath("bsdtar"); err != nil {
		t.Skipf("needs bsdtar: %v", err)
	}
	cmd := exec.Command("bsdtar", "-tf", "-")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("bsdtar: %v: %s", err, out)
	}
	if diff := cmp.Diff(names, strings.Fields(strings.ReplaceAll(string(out), "/\n", "\n"))); diff != "" {
		t.Errorf("bsdtar's list (-want +got):\n%s", diff)
	}
}
