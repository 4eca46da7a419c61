//go:build linux

// Command init is a system in one program: PID 1 of an initramfs that has nothing else. It says what it found, and powers
// the machine off.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

func main() {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		fmt.Println("example: nobody mounted /proc")
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			fmt.Printf("example: %s on %s\n", fields[2], fields[1])
		}
	}
	fmt.Printf("example: pid %d is %s\n", os.Getpid(), os.Args[0])
	if os.Getpid() == 1 {
		syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	}
}
