//go:build linux

// Command fill is PID 1 of the machine that fills a file system: it copies the tree on the source disk, an ext4 image, to
// the target disk, an empty xfs or btrfs that mkfs made, and powers off. The disks are told by their superblocks. How it
// fares it writes to the progress console, as package wire says.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fill/wire"
	"github.com/fledge-build/fledge/internal/guestos"
)

// modulesDir is where the initramfs has the kernel modules.
const modulesDir = "/modules"

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "fill: this is PID 1 of the machine that fills a file system")
		os.Exit(1)
	}
	defer guestos.PowerOff()
	console := io.Writer(os.Stderr)
	defer func() {
		if p := recover(); p != nil {
			report(console, wire.Report{Failure: fmt.Sprintf("panic: %v", p)})
		}
	}()
	if err := prepare(); err != nil {
		report(guestos.OpenProgress(), failure(err))
		return
	}
	console = guestos.OpenProgress()
	last, err := fill(console)
	if err != nil {
		last = failure(err)
	}
	report(console, last)
}

// report writes a report, to the kernel's console too when it tells of a failure.
func report(console io.Writer, r wire.Report) {
	if r.Failure != "" {
		fmt.Fprintln(os.Stderr, "fledge-fill: error:", r.Failure)
	}
	if err := r.Write(console); err != nil {
		fmt.Fprintln(os.Stderr, "fledge-fill: error: progress console:", err)
	}
}

func failure(err error) wire.Report {
	return wire.Report{Failure: err.Error(), Full: errors.Is(err, unix.ENOSPC)}
}

// prepare makes the machine ready.
func prepare() error {
	if err := guestos.MountKernel(); err != nil {
		return err
	}
	if err := startClock(); err != nil {
		return err
	}
	if err := guestos.LoadModules(modulesDir); err != nil {
		return err
	}
	// Each directory from the root down to where the copy is takes two files.
	const files = 1 << 20
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files})
}

// startClock has the machine live at the fixed epoch, 1970, which the file system's own times then show. The kernel
// accepts no time before that of its start.
func startClock() error {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &up); err != nil {
		return err
	}
	up.Sec++
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &up); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// Where the disks are mounted.
const (
	sourceDir = "/source"
	targetDir = "/target"
)

// fill copies the tree, and gives the report of success.
func fill(console io.Writer) (last wire.Report, err error) {
	d, err := findDisks()
	if err != nil {
		return last, err
	}
	if err := d.mount(); err != nil {
		return last, err
	}
	c := newCopier(console, d.kind)
	if err := c.tree(sourceDir, targetDir); err != nil {
		return last, err
	}
	free, err := finish(targetDir)
	if err != nil {
		return last, err
	}
	last = wire.Report{Entries: c.entries, Bytes: c.bytes, Free: free, Done: true}
	if c.dropped.Count > 0 {
		last.Dropped = &c.dropped
	}
	return last, nil
}

// finish writes all that is in memory to the disk, gives back what was used for a while, and unmounts. It returns how much
// is free, in bytes.
func finish(dir string) (free int64, err error) {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.Syncfs(root)
	unix.Close(root)
	if err != nil {
		return 0, fmt.Errorf("write the file system to the disk: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	// A process that has just ended may still hold a file of it.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Unmount(dir, 0)
		if err == nil {
			return int64(st.Bavail) * st.Bsize, nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return 0, fmt.Errorf("unmount the file system: %w", err)
		}
	}
}
