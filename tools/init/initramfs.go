//go:build linux

package main

import (
	"syscall"

	"github.com/fledge-build/fledge/internal/bootconf"
)

// terminals is what pseudo terminals need; a kernel may be built without them.
var terminals = mount{
	"devpts", "/dev/pts", "devpts", syscall.MS_NOSUID | syscall.MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666",
}

// memoryMounts are places for files that live no longer than the machine.
var memoryMounts = [...]mount{
	{"tmpfs", "/dev/shm", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=1777"},
	{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=0755"},
	{"tmpfs", "/tmp", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=1777"},
}

// bootInitramfs makes the initramfs the system. It ends in the configured program, or returns why it could not.
func bootInitramfs(conf bootconf.Config) error {
	if err := openMachine(conf.Modules); err != nil {
		return err
	}
	if err := terminals.attempt(); err != nil && err != syscall.ENODEV {
		return terminals.explain(err)
	}
	for _, m := range memoryMounts {
		// What an image has in /run or /tmp, such as a directory for a server's socket, it wants to see there. It is in
		// memory anyway.
		if len(readDir(m.target)) > 0 {
			continue
		}
		if err := m.do(); err != nil {
			return err
		}
	}
	return become(conf.Exec)
}
