package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/cli"
)

// enough are flags that say all that has to be said.
var enough = []string{"--filesystem", "xfs", "--source", "tree.ext4", "--kernel", "bzImage", "--initramfs", "fill.cpio.gz", "--out", "dir/app.img"}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"--filesystem is required", nil},
		{"--source is required", enough[:2]},
		{"--kernel is required", enough[:4]},
		{"--initramfs is required", enough[:6]},
		{"--out is required", enough[:8]},
		{`--filesystem "ext4": it is xfs or btrfs`, append(slices.Clip(enough[2:]), "--filesystem", "ext4")},
		{"--size-buffer-mb -1: give 0 to ", append(slices.Clip(enough), "--size-buffer-mb", "-1")},
		{"--size-buffer-mb 1048577: give 0 to ", append(slices.Clip(enough), "--size-buffer-mb", "1048577")},
		{"--memory-mb and --timeout must not be negative", append(slices.Clip(enough), "--timeout", "-1s")},
		{`unexpected argument "x"`, append(slices.Clip(enough), "x")},
		{"flag provided but not defined: -y", append(slices.Clip(enough), "-y")},
	} {
		err := run(t.Context(), tt.args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) || cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: error %v, want %s", tt.args, err, tt.want)
		}
	}
}

func TestFlags(t *testing.T) {
	f, err := parse(append(slices.Clip(enough), "--arch", "arm64", "--preallocate", "--timeout", "5m", "--memory-mb", "700"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	m := f.fill.Machine
	if f.vmm.Arch != "arm64" || m.Arch != "arm64" || m.Limit != 5*time.Minute || m.MemoryMB != 700 || !f.preallocate || f.fill.TempDir != "dir" {
		t.Errorf("%+v", f)
	}
	f, err = parse(append(slices.Clip(enough[:4]), "--vmlinux", "vmlinux", "--initramfs", "i", "--out", "o"), io.Discard)
	if err != nil || f.fill.Machine.Kernel != "vmlinux" {
		t.Errorf("%+v, %v", f, err)
	}
}

// An input that is not there is an error, and nothing appears.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out", "app.img")
	if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clip(enough), "--out", out, "--arch", "amd64", "--vmm", "qemu", "--qemu", program)
	for want, more := range map[string][]string{
		"it should be mkfs.xfs, of the package xfsprogs": {"--mkfs", filepath.Join(dir, "none")},
		"open " + filepath.Join(dir, "none.ext4"):        {"--mkfs", program, "--source", filepath.Join(dir, "none.ext4")},
	} {
		err := run(t.Context(), append(args, more...), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || cli.ExitCode(err) != cli.ExitError {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}
