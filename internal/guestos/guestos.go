//go:build linux

// Package guestos is what the first process of a machine that Fledge boots for work of its own does before and after
// that work: mount the kernel's file systems, load modules, open the progress console, power off.
package guestos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MountKernel mounts the kernel's own file systems on /proc, /sys and /dev.
func MountKernel() error {
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, m := range []struct {
		kind, at string
		flags    uintptr
	}{
		{"proc", "/proc", safe}, {"sysfs", "/sys", safe}, {"devtmpfs", "/dev", unix.MS_NOSUID},
	} {
		os.MkdirAll(m.at, 0o755)
		if err := unix.Mount(m.kind, m.at, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// LoadModules loads the modules in the folder dir, if there is one, in the order of their names, and removes it to free
// the memory that they took in the initramfs.
func LoadModules(dir string) error {
	entries, err := os.ReadDir(dir) // sorted
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := loadModule(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("load module %s: %w", e.Name(), err)
		}
	}
	return os.RemoveAll(dir)
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	switch err := unix.FinitModule(int(f.Fd()), "", 0); {
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENODEV): // there already; no such device, which the search tells
		return nil
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%w: it is not of the kernel that runs", err)
	default:
		return err
	}
}

// OpenProgress opens the progress console, without the line discipline of terminals; standard output in its absence.
func OpenProgress() *os.File {
	f, err := os.OpenFile("/dev/hvc0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return os.Stdout
	}
	if t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO
		unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
	}
	return f
}

// PowerOff ends the machine. It never returns.
func PowerOff() {
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) // a machine without a power switch
	select {}
}
