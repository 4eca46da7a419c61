package vmm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// head makes the beginning of a kernel, of strings at their offsets.
func head(parts map[int]string) []byte {
	b := make([]byte, 1024)
	for offset, part := range parts {
		copy(b[offset:], part)
	}
	return b
}

func TestKernelArch(t *testing.T) {
	for _, tt := range []struct {
		name string
		head []byte
		want string
	}{
		{"bzImage", head(map[int]string{0: "MZ", 0x202: "HdrS"}), "amd64"},
		{"old bzImage", head(map[int]string{0x202: "HdrS"}), "amd64"},
		{"Image", head(map[int]string{0: "MZ", 56: "ARM\x64"}), "arm64"},
		{"EFI arm64", head(map[int]string{0: "MZ\x00\x00zimg", 60: "\x40", 64: "PE\x00\x00\x64\xaa"}), "arm64"},
		{"EFI x86-64", head(map[int]string{0: "MZ", 60: "\x40", 64: "PE\x00\x00\x64\x86"}), "amd64"},
		{"EFI riscv64", head(map[int]string{0: "MZ", 60: "\x40", 64: "PE\x00\x00\x64\x50"}), ""},
		{"PE out of sight", head(map[int]string{0: "MZ", 60: "\xff\xff\xff\xff"}), ""},
		{"vmlinux", head(map[int]string{0: "\x7fELF\x02\x01", 18: "\x3e\x00"}), "amd64"},
		{"vmlinux arm64", head(map[int]string{0: "\x7fELF\x02\x01", 18: "\xb7\x00"}), "arm64"},
		{"cut off", []byte("\x7fELF"), ""},
		{"MZ alone", []byte("MZ"), ""},
		{"gzip", head(map[int]string{0: "\x1f\x8b"}), ""},
		{"empty", nil, ""},
	} {
		if got := kernelArch(tt.head); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestKernelOfAnotherArch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Image")
	if err := os.WriteFile(file, head(map[int]string{56: "ARM\x64"}), 0o644); err != nil {
		t.Fatal(err)
	}
	s := Spec{Arch: "arm64", Kernel: file, MemoryMB: 64, CPUs: 1}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	s.Arch = "amd64"
	const want = "Image is for arm64, and the guest is amd64: give a kernel for amd64"
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestKernelArchOfReal looks at the kernels of the boot tests.
func TestKernelArchOfReal(t *testing.T) {
	for variable, want := range map[string]string{"FLEDGE_KERNEL_BZIMAGE": "amd64", "FLEDGE_KERNEL_ARM64": "arm64"} {
		file := os.Getenv(variable)
		if file == "" {
			t.Logf("%s is not set", variable)
			continue
		}
		if got, err := KernelArch(file); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
		}
	}
}

func FuzzKernelArch(f *testing.F) {
	f.Add(head(map[int]string{0: "MZ", 60: "\x40", 64: "PE\x00\x00\x64\xaa"}))
	f.Add(binary.LittleEndian.AppendUint32(append([]byte("MZ"), make([]byte, 58)...), 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := kernelArch(b); got != "" && got != "amd64" && got != "arm64" {
			t.Errorf("got %q", got)
		}
	})
}
