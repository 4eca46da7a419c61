//go:build linux

package pid1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/machine"
)

// mountCgroups mounts the tree of control groups; without it steps have no limits of their own.
func mountCgroups() {
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", safe, "")
}

// promiseMemory has the kernel refuse no memory. By default it refuses a request that is larger than all there is, and
// ends who uses too much of many small ones; a step should end one way, which the solve's failure tells.
func promiseMemory() error {
	return os.WriteFile("/proc/sys/vm/overcommit_memory", []byte("1"), 0)
}

// enterScratch mounts the scratch space and makes it the root: BuildKit and its steps work there, and pivot_root cannot
// leave the initramfs.
func enterScratch(job wire.Job, scratch string) error {
	available := machine.MemInfo()["MemAvailable"] << 10
	size := available / 10 * 8
	if job.Scratch == wire.ScratchSwap {
		swap, err := swapOn(scratch)
		if err != nil {
			return fmt.Errorf("scratch disk %s: %w", scratch, err)
		}
		size += swap
	}
	const root = "/scratch"
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	options := "mode=0755,nr_inodes=0,size=" + strconv.FormatInt(size, 10)
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("scratch space: %w", err)
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp", "/run", "/var/tmp", "/etc", StateDir} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(dir, root+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	for _, step := range []func() error{
		func() error { return unix.Chdir(root) },
		func() error { return unix.Mount(".", "/", "", unix.MS_MOVE, "") },
		func() error { return unix.Chroot(".") },
		func() error { return unix.Chdir("/") },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("enter the scratch space: %w", err)
		}
	}
	return nil
}

// Places in the header of swap space, union swap_header of linux/swap.h, for pages of 4 KiB.
const (
	swapPage       = 4096
	swapVersion    = 1024
	swapLastPage   = 1028
	swapMagic      = "SWAPSPACE2"
	swapOnDiscard  = 0x10000
	swapLastPageNr = 1<<32 - 1
)

// swapOn makes a disk swap space and uses it; it returns its size in bytes.
func swapOn(dev string) (int64, error) {
	if os.Getpagesize() != swapPage {
		return 0, fmt.Errorf("swap space on a kernel with pages of %d bytes is not supported", os.Getpagesize())
	}
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	pages := min(size/swapPage, swapLastPageNr)
	if pages < 10 {
		return 0, errors.New("it is too small")
	}
	head := make([]byte, swapPage)
	binary.NativeEndian.PutUint32(head[swapVersion:], 1)
	binary.NativeEndian.PutUint32(head[swapLastPage:], uint32(pages-1))
	copy(head[swapPage-len(swapMagic):], swapMagic)
	if _, err := f.WriteAt(head, 0); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	path, err := unix.BytePtrFromString(dev)
	if err != nil {
		return 0, err
	}
	if _, _, e := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(path)), swapOnDiscard, 0); e != 0 {
		return 0, fmt.Errorf("swap: %w", e)
	}
	return pages * swapPage, nil
}
