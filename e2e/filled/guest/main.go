//go:build linux

// Command guest boots a filled image in tests. As /init it tells everything about the tree on the first virtio disk, makes
// that the root and becomes the image's /bin/kestrel; as that it writes to the root and powers off.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/guestos"
	"github.com/fledge-build/fledge/internal/imagetest"
)

const agent = "/bin/kestrel"

func main() {
	err := boot()
	if os.Args[0] == agent {
		err = work()
	}
	if err != nil {
		fmt.Println("guest: error:", err)
	}
	guestos.PowerOff()
}

// boot prints the tree, a line each, and becomes the agent.
func boot() error {
	if os.Args[0] == agent {
		return nil
	}
	if err := guestos.MountKernel(); err != nil {
		return err
	}
	if err := guestos.LoadModules("/modules"); err != nil {
		return err
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(line), "guest.filesystem=")
	kind, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	const root = "/root"
	os.Mkdir(root, 0o755)
	for range 500 {
		if err = unix.Mount("/dev/vda", root, kind, 0, ""); err != unix.ENOENT {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", kind, err)
	}
	lines, err := imagetest.Tree(root, true)
	if err != nil {
		return err
	}
	progress := guestos.OpenProgress()
	for _, line := range lines {
		fmt.Fprintln(progress, line)
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return syscall.Exec(agent, []string{agent}, nil)
}

// work changes the root.
func work() error {
	for i := range 100 {
		if err := os.WriteFile(fmt.Sprintf("/var/new-%d", i), []byte("written by the guest"), 0o644); err != nil {
			return err
		}
	}
	if err := os.RemoveAll("/etc"); err != nil {
		return err
	}
	unix.Sync()
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("remount: %w", err)
	}
	fmt.Println("guest: the agent has worked")
	return nil
}
