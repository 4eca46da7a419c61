//go:build linux

// Command init is PID 1 of the initramfs that Fledge makes. /fledge/boot.conf says which of its two jobs it has:
//
//   - With a program to become, the initramfs is the whole system: it mounts what every program expects and becomes that
//     program.
//   - Without, the initramfs boots an image, the first virtio disk: it makes that the root and becomes the image's agent.
//     A file system that takes no writes, squashfs or erofs, is mounted read-only with one tmpfs over it for writes, which
//     may grow to the size that the image's rule gave; overlay_size= on the kernel command line overrules it. One that
//     takes them, ext4, xfs or btrfs, is the root itself and keeps what is written, unless the disk is read-only.
//
// In both it loads the bundled kernel modules first. A step that fails prints one line that starts with
// "fledge-init: error:" and powers the machine off.
//
// It uses package syscall alone: fmt, os or x/sys would make the program, which every image carries, noticeably larger.
package main

import (
	"syscall"

	"github.com/fledge-build/fledge/internal/bootconf"
)

const (
	agent   = "/bin/kestrel"
	damaged = "the initramfs is damaged, build it anew"
)

func main() {
	if syscall.Getpid() != 1 {
		say("this is the init of an initramfs and runs as PID 1 only")
		syscall.Exit(1)
	}
	err := boot()
	say("error: " + err.Error())
	powerOff()
}

// boot ends in the agent or another program, or returns why it could not.
func boot() error {
	conf, err := configuration()
	if err != nil {
		return err
	}
	if conf.Exec != "" {
		return bootInitramfs(conf)
	}
	return bootDisk(conf)
}

// configuration reads what the builder says.
func configuration() (bootconf.Config, error) {
	b, err := readFile("/" + bootconf.File)
	if err != nil {
		return bootconf.Config{}, err
	}
	c, err := bootconf.Parse(b)
	if err != nil {
		return c, fail("/"+bootconf.File, err, damaged)
	}
	return c, nil
}

// kernelMounts are the kernel's own file systems, which both jobs need.
var kernelMounts = [...]mount{
	{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID, "mode=0755"},
}

// openMachine mounts the kernel's file systems, loads the bundled modules and connects the standard streams.
func openMachine(modules []string) error {
	for _, m := range kernelMounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	if err := loadModules(modules); err != nil {
		return err
	}
	reopenConsole()
	return nil
}

func loadModules(files []string) error {
	for _, file := range files {
		path := "/" + bootconf.ModulesDir + "/" + file
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return fail("open "+path, err, damaged)
		}
		err = finitModule(fd)
		syscall.Close(fd)
		switch err {
		case nil, syscall.EEXIST: // EEXIST: loaded already, or built in
		case syscall.ENODEV: // no such hardware in this machine; if it is the disk's, the search for it says so
		case syscall.ENOEXEC, syscall.EKEYREJECTED, syscall.ENOKEY:
			return fail("load module "+file, err, "it does not belong to the kernel that runs, "+kernelRelease())
		default:
			return fail("load module "+file, err, "the kernel's messages above tell more")
		}
	}
	return nil
}
