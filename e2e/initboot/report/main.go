//go:build linux

// Command report is the program that the init becomes in boot tests: it tells on the console what it finds and powers
// the machine off.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	files := openFiles() // first, so that none is this program's own
	say("pid %d", os.Getpid())
	say("arguments %q", os.Args)
	say("environment %q", os.Environ())
	say("files %q", files)
	dir, err := os.Getwd()
	say("directory %s, %v", dir, err)
	say("umask %04o", unix.Umask(0))
	for _, line := range lines("/proc/self/mounts") {
		say("mount %s", line)
	}
	for _, path := range []string{"/run/kept", "/tmp/kept"} {
		content, err := os.ReadFile(path)
		say("file %s: %q, %v", path, content, err)
	}
	for _, path := range []string{"/run", "/tmp", "/dev/shm"} {
		say("write to %s: %v", path, os.WriteFile(path+"/written", nil, 0o600))
	}
	_, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	say("pseudo terminal: %v", err)
	for _, line := range lines("/proc/modules") {
		name, _, _ := strings.Cut(line, " ")
		say("module %s", name)
	}
	say("done")
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		say("power off: %v", err)
	}
	select {}
}

func say(format string, args ...any) { fmt.Printf("report: "+format+"\n", args...) }

// openFiles lists "number:path" of the open files.
func openFiles() []string {
	var open []string
	for fd := range 64 {
		buf := make([]byte, 256)
		n, err := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), buf)
		if err == nil {
			open = append(open, fmt.Sprintf("%d:%s", fd, buf[:n]))
		}
	}
	return open
}

func lines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		say("%v", err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}
