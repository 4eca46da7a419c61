//go:build linux

// Command agent stands in for /bin/kestrel in boot tests: it tells on the console what the init made of the machine and
// powers it off.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "agent: runs as PID 1 of a boot test only")
		os.Exit(2)
	}
	fmt.Printf("agent: pid %d, arguments %q\n", os.Getpid(), os.Args)
	for _, check := range []func() (string, error){mounts, root, overlaySize, writes, memory, modules} {
		fact, err := check()
		if err != nil {
			fmt.Printf("agent: error: %v\n", err)
			continue
		}
		fmt.Println("agent: " + fact)
	}
	fmt.Println("agent: done")
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Printf("agent: error: power off: %v\n", err)
	}
	select {}
}

// mounts lists "where:type" of all mounts that can be seen.
func mounts() (string, error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	var list []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		list = append(list, f[1]+":"+f[2])
	}
	return "mounts " + strings.Join(list, " "), nil
}

func root() (string, error) {
	var st unix.Stat_t
	if err := unix.Stat("/", &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("root mode %o, owner %d:%d, time %d", st.Mode&0o7777, st.Uid, st.Gid, st.Mtim.Sec), nil
}

func overlaySize() (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs("/", &fs); err != nil {
		return "", err
	}
	return fmt.Sprintf("root of %d KiB", fs.Blocks*uint64(fs.Bsize)>>10), nil
}

// writes changes, deletes and makes files, some of which are in the image.
func writes() (string, error) {
	if err := os.WriteFile("/etc/changed", []byte("new"), 0o644); err != nil {
		return "", err
	}
	if err := os.Remove("/etc/deleted"); err != nil {
		return "", err
	}
	if err := os.MkdirAll("/var/lib/made", 0o755); err != nil {
		return "", err
	}
	b, err := os.ReadFile("/etc/changed")
	if err != nil || string(b) != "new" {
		return "", fmt.Errorf("/etc/changed: %q, %v", b, err)
	}
	if _, err := os.Stat("/etc/deleted"); !os.IsNotExist(err) {
		return "", fmt.Errorf("/etc/deleted is still there: %v", err)
	}
	return "the root takes writes", nil
}

// memory tells what the initramfs and the overlay take: both are shared memory.
func memory() (string, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "Shmem:"); ok {
			return "shared memory " + strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("no Shmem in /proc/meminfo")
}

func modules() (string, error) {
	b, err := os.ReadFile("/proc/modules")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d modules", bytes.Count(b, []byte("\n"))), nil
}
