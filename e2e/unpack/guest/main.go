//go:build linux

// Command guest is the /init of initramfs images under test: it prints everything about the file tree that the kernel
// unpacked, and powers off.
package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/imagetest"
)

func main() {
	lines, err := imagetest.Tree("/", false)
	for _, line := range lines {
		fmt.Println("guest: " + line)
	}
	fmt.Println("guest: done", err)
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
