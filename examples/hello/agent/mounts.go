//go:build linux

package main

import (
	"log"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// mounts are the file systems that programs expect, parents first.
var mounts = []struct {
	target, fs, options string
	flags               uintptr
}{
	{"/proc", "proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/sys", "sysfs", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/dev", "devtmpfs", "mode=0755", unix.MS_NOSUID},
	{"/dev/pts", "devpts", "mode=0620,gid=5,ptmxmode=0666", unix.MS_NOSUID | unix.MS_NOEXEC},
	{"/dev/shm", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	{"/run", "tmpfs", "mode=0755", unix.MS_NOSUID | unix.MS_NODEV},
	{"/tmp", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
}

// mountMissing mounts what the init of the initramfs did not. What fails shows in the workload, if it matters there.
func mountMissing() {
	for _, m := range mounts {
		if mounted(m.target) {
			continue
		}
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			log.Printf("warning: %v", err)
		}
		if err := unix.Mount(m.fs, m.target, m.fs, m.flags, m.options); err != nil {
			log.Printf("warning: mount %s: %v", m.target, err)
		}
	}
}

// mounted tells whether dir is the root of a file system: it is then on another device than its parent.
func mounted(dir string) bool {
	var at, above unix.Stat_t
	if unix.Stat(dir, &at) != nil || unix.Stat(path.Dir(dir), &above) != nil {
		return false
	}
	return at.Dev != above.Dev
}
