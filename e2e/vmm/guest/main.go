//go:build linux

// Command guest uses what a virtual machine gives it: it reads its first disk, writes to the second, tells much on
// /dev/hvc0, calls the host, and powers the machine off. Lines on the console say how it went.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/e2e/vmm/agreed"
)

func main() {
	for _, step := range []struct {
		name string
		run  func() error
	}{{"progress", progress}, {"disks", disks}, {"network", network}} {
		fmt.Printf("guest: %s: %v\n", step.name, step.run())
	}
	unix.Sync()
	how := unix.LINUX_REBOOT_CMD_POWER_OFF
	if strings.Contains(cmdline(), agreed.Reboot) {
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
	fmt.Printf("guest: end: %v\n", unix.Reboot(how))
}

func cmdline() string {
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// progress writes faster than the host reads.
func progress() error {
	f, err := os.OpenFile("/dev/hvc0", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	mode.Oflag &^= unix.OPOST // line breaks are to arrive as they are
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, mode); err != nil {
		return err
	}
	_, err = f.WriteString(agreed.Progress())
	return err
}

// disks copies the first disk's sector into the second one's last.
func disks() error {
	in, err := os.ReadFile("/dev/vda")
	if err != nil {
		return err
	}
	if writeSector("/dev/vda", 0, make([]byte, agreed.Sector)) == nil {
		return fmt.Errorf("the first disk is writable")
	}
	return writeSector("/dev/vdb", agreed.WritableSize-agreed.Sector, in[:agreed.Sector])
}

func writeSector(device string, offset int64, data []byte) error {
	f, err := os.OpenFile(device, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(data, offset)
	return err
}

// network calls the address on the command line, if there is one, from the address of QEMU's user network.
func network() error {
	_, call, found := strings.Cut(cmdline(), agreed.Call+"=")
	if !found {
		return nil
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq("eth0")
	if err != nil {
		return err
	}
	if err := request.SetInet4Addr([]byte{10, 0, 2, 15}); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCSIFADDR, request); err != nil {
		return fmt.Errorf("eth0: %w", err)
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("eth0: %w", err)
	}
	c, err := net.DialTimeout("tcp4", strings.Fields(call)[0], 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintln(c, agreed.Call)
	return err
}
