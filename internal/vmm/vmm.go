// Package vmm says what Fledge wants of a virtual machine monitor: boot a kernel with an initramfs and disks, hand out
// what the guest prints, reach its ports, end. The drivers are packages of their own.
package vmm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// MaxCmdline is the longest kernel command line that reaches the guest whole, in bytes: the kernel of x86 cuts it at
// 2048 including a final NUL (COMMAND_LINE_SIZE).
const MaxCmdline = 2047

// Spec describes a machine.
type Spec struct {
	Arch      string // of the guest: amd64 or arm64
	Kernel    string // file
	Initramfs string // file; "" for none
	Disks     []Disk // attached as virtio disks in this order
	MemoryMB  int    // MiB
	CPUs      int    // processors
	Cmdline   string // kernel parameters, besides those for the console and for ending that a driver adds
	Ports     []int  // TCP ports of the guest that the host wants to reach
	// HostPorts are the ports of the host's loopback address for some of Ports; the others get free ones.
	HostPorts map[int]int
	Network   bool      // the guest reaches the network beyond the host; without it and without ports it has no network card
	Console   io.Writer // gets what the guest prints on its serial line, the kernel's console, as it comes; nil drops it
	// Input is what the guest reads on its serial line; nil is nothing. It is read from when the machine has shown life, up to
	// its end or the machine's, when a read that waits is left behind.
	Input io.Reader
	// Progress gets what the guest writes to /dev/hvc0, as it comes; nil is a machine without that device. It is a terminal
	// to the guest, which puts a carriage return before each line feed unless the guest clears OPOST.
	Progress io.Writer
}

// Disk is a raw image.
type Disk struct {
	File string
	// Writable lets the guest write. The file is whole only once the guest has powered off: nothing is forced to the
	// host's disk before, and blocks that the guest discards become holes.
	Writable bool
	// Snapshot lets the guest write, and drops what it wrote when the machine ends: the file stays as it is.
	Snapshot bool
}

// Driver starts machines.
type Driver interface {
	// Start starts a machine, which ends with ctx.
	Start(ctx context.Context, spec Spec) (Machine, error)
}

// Machine is a running machine.
type Machine interface {
	// Wait blocks until the machine is off and Console and Progress have got all of it. The error is nil when the guest
	// powered off; whether it did its work only what it wrote tells. A guest that reboots, as after a panic, is off, too:
	// to some monitors that is an error, others do not tell it from powering off.
	Wait() error
	// Stop ends the machine at once, if it still runs, and frees what it took.
	Stop()
	// Addr is the host's address, "127.0.0.1:40123", of one of Spec.Ports.
	Addr(port int) string
	// Command is the command line of the monitor, to repeat the run by hand.
	Command() []string
}

// TellsFailure tells whether a line of a guest's console says that it failed, by Fledge's init or by the kernel.
func TellsFailure(line string) bool {
	return strings.Contains(line, "fledge-init: error: ") || strings.Contains(line, "Kernel panic - ")
}

// CommandLine is the kernel's, with what a driver needs before the caller's parameters, so that the caller's win.
func (s Spec) CommandLine(drivers ...string) (string, error) {
	line := strings.TrimSpace(strings.Join(append(drivers, s.Cmdline), " "))
	if len(line) > MaxCmdline {
		return "", fmt.Errorf("the kernel command line has %d bytes and the kernel cuts it at %d: %.60s…",
			len(line), MaxCmdline, line)
	}
	return line, nil
}

// Check finds what would otherwise end in a machine that does not start, or in a guest that sees only half of its
// command line.
func (s Spec) Check() error {
	if s.Kernel == "" {
		return errors.New("no kernel: a machine needs one, as a file")
	}
	if err := checkFile("kernel", s.Kernel); err != nil {
		return err
	}
	if s.Initramfs != "" {
		if err := checkFile("initramfs", s.Initramfs); err != nil {
			return err
		}
	}
	for i, disk := range s.Disks {
		if err := disk.check("disk " + strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	switch {
	case s.Arch != "amd64" && s.Arch != "arm64":
		return fmt.Errorf("arch %q: Fledge boots amd64 and arm64", s.Arch)
	case s.MemoryMB < 1 || s.CPUs < 1:
		return fmt.Errorf("a machine with %d MiB of memory and %d CPUs: both must be positive", s.MemoryMB, s.CPUs)
	case strings.ContainsAny(s.Cmdline, "\n\x00"):
		return fmt.Errorf("the kernel command line has a line break or a NUL: %q", s.Cmdline)
	}
	switch arch, err := KernelArch(s.Kernel); {
	case err != nil:
		return fmt.Errorf("kernel: %w", err)
	case arch != "" && arch != s.Arch:
		return fmt.Errorf("kernel %s is for %s, and the guest is %s: give a kernel for %s", s.Kernel, arch, s.Arch, s.Arch)
	}
	return nil
}

func (d Disk) check(what string) error {
	if err := checkFile(what, d.File); err != nil || !d.Writable {
		return err
	}
	f, err := os.OpenFile(d.File, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%s is to be writable: %w", what, err)
	}
	return f.Close()
}

func checkFile(what, file string) error {
	st, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s: %s is not a file", what, file)
	}
	return nil
}
