//go:build linux

// Command guest is the one process of a machine. It says which manifest is on the kernel command line, then repeats every line
// that it reads on the console, control characters included, and powers the machine off after "quit".
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/manifest"
)

func main() {
	fmt.Printf("guest: %v\n", run())
	unix.Sync()
	fmt.Printf("guest: end: %v\n", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func run() error {
	if _, err := os.Stat("/proc/cmdline"); err != nil {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			return err
		}
	}
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	name := "nothing"
	for parameter := range strings.FieldsSeq(string(b)) {
		if value, ok := strings.CutPrefix(parameter, manifest.CmdlineKey+"="); ok {
			m, err := manifest.DecodeCmdline(value)
			if err != nil {
				return err
			}
			name = m.Name
		} else if value, ok := strings.CutPrefix(parameter, "say="); ok {
			fmt.Println(value)
		}
	}
	mode, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		return err
	}
	mode.Lflag &^= unix.ISIG | unix.ECHO
	if err := unix.IoctlSetTermios(0, unix.TCSETS, mode); err != nil {
		return err
	}
	fmt.Printf("guest: ready with %s\n", name)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan() && lines.Text() != "quit"; {
		fmt.Printf("guest: read %q\n", lines.Text())
	}
	return nil
}
