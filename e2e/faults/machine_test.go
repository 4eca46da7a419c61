package faults

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/fill/filltest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/kmod"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// testMachineDiskFull fills a file system in a machine whose disk's file finds no room on the host: the guest does not wait for it.
func (k *kit) testMachineDiskFull(t *testing.T) {
	if !k.inMountNamespace(t) {
		return
	}
	mkfs, err := fill.FindMkfs(fill.Btrfs, os.Getenv(fill.Variable(fill.Btrfs)))
	if err != nil {
		t.Skip(err)
	}
	program, err := qemu.Find("amd64", os.Getenv(qemu.Variable("amd64")))
	if err != nil {
		t.Skip(err)
	}
	layer, err := layers.Tar(func(w *layers.Writer) error { return addFile(w, "noise", imagetest.Noise(1, 12<<20)) })
	if err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	mountRoom(t, at, 8<<20) // mkfs takes less of it, and the file more
	o := fill.Options{Kind: fill.Btrfs, Mkfs: mkfs, Source: filltest.Source(t, layer), SizeBuffer: 1, TempDir: at, Machine: fill.Machine{
		Arch: "amd64", Driver: qemu.Driver{Program: program}, Kernel: kernelOf(t), Initramfs: fillInitramfs(t), Limit: clockLimit,
	}}
	began := time.Now()
	_, err = fill.Fill(t.Context(), io.Discard, o)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), at) || strings.Contains(err.Error(), "time limit") {
		t.Errorf("after %s: error %v", time.Since(began), err)
	}
	if left := contents(t, at); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

// kernelOf is the kernel that the environment names; without one the test is skipped.
func kernelOf(t *testing.T) string {
	t.Helper()
	kernel := os.Getenv("FLEDGE_KERNEL_BZIMAGE")
	if kernel == "" || os.Getenv("FLEDGE_KERNEL_MODULES") == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
	return kernel
}

// fillInitramfs is that of the machine that fills.
func fillInitramfs(t *testing.T) string {
	t.Helper()
	program, err := toolrun.BuildStatic(t.TempDir(), "./tools/fill", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := kmod.Open(os.Getenv("FLEDGE_KERNEL_MODULES"))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	modules, err := bootfs.SelectFillModules(fill.Btrfs)(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "fill.cpio.gz")
	if err := cli.WriteBuffered(file, func(w io.Writer) error { return bootfs.WriteGuest(w, program, modules) }); err != nil {
		t.Fatal(err)
	}
	return file
}
