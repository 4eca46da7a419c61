//go:build linux

// Command agent stands in for /bin/kestrel in boot tests of file systems that take writes: it counts the boots in a file,
// tells what the root is, and powers the machine off. With dirty=1 in its environment it leaves the root mounted for
// writes, as a machine does that loses its power.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "agent: runs as PID 1 of a boot test only")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Printf("agent: error: %v\n", err)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func run() error {
	root, err := rootMount()
	if err != nil {
		return err
	}
	const file = "/var/boots"
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	count, _ := strconv.Atoi(string(b))
	count++
	if err := os.WriteFile(file, []byte(strconv.Itoa(count)), 0o644); err != nil {
		return err
	}
	unix.Sync()
	fmt.Printf("agent: boot %d on %s\n", count, root)
	if os.Getenv("dirty") != "" {
		return nil
	}
	return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// rootMount is the device, the type and the first option of the root.
func rootMount() (string, error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[1] == "/" {
			first, _, _ := strings.Cut(f[3], ",")
			return f[0] + " " + f[2] + " " + first, nil
		}
	}
	return "", errors.New("nothing is mounted on /")
}
