package vmm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	good := Spec{Arch: "amd64", Kernel: file, MemoryMB: 64, CPUs: 1}
	for _, tt := range []struct {
		name   string
		change func(*Spec)
		want   string
	}{
		{"good", func(*Spec) {}, ""},
		{"everything", func(s *Spec) {
			s.Initramfs, s.Disks, s.Cmdline = file, []Disk{{File: file}, {File: file, Writable: true}, {File: file, Snapshot: true}}, "quiet"
		}, ""},
		{"kernel not given", func(s *Spec) { s.Kernel = "" }, "no kernel: a machine needs one"},
		{"no kernel", func(s *Spec) { s.Kernel = "none" }, "kernel: stat none: no such file"},
		{"kernel is a folder", func(s *Spec) { s.Kernel = filepath.Dir(file) }, "is not a file"},
		{"no initramfs", func(s *Spec) { s.Initramfs = "none" }, "initramfs: stat none"},
		{"no disk", func(s *Spec) { s.Disks = []Disk{{File: file}, {File: "none"}} }, "disk 2: stat none"},
		{"arch", func(s *Spec) { s.Arch = "x86_64" }, `arch "x86_64": Fledge boots amd64 and arm64`},
		{"memory", func(s *Spec) { s.MemoryMB = 0 }, "both must be positive"},
		{"cpus", func(s *Spec) { s.CPUs = -1 }, "both must be positive"},
		{"line break", func(s *Spec) { s.Cmdline = "a\nb" }, "line break"},
	} {
		s := good
		tt.change(&s)
		err := s.Check()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct{ driver, caller, want string }{
		{"", "", ""}, {"a b", "", "a b"}, {"", "c", "c"}, {"a b", "c", "a b c"},
	} {
		if got, err := (Spec{Cmdline: tt.caller}).CommandLine(strings.Fields(tt.driver)...); got != tt.want || err != nil {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
	spec := Spec{Cmdline: strings.Repeat("x", MaxCmdline-2)}
	if _, err := spec.CommandLine("a"); err != nil {
		t.Errorf("2047 bytes: %v", err)
	}
	const want = "2048 bytes and the kernel cuts it at 2047"
	if _, err := spec.CommandLine("ab"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("2048 bytes: %v", err)
	}
}
