//go:build linux

package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// order has the kernel place everything in the order of the tree, and not in that in which its threads find time, so that two
// fills give the same image.
type order struct {
	kind    string
	root    int // of the target
	pending int // entries since the last commit
}

// batch is how many entries are committed together on btrfs: from about twice as many on, a thread of the kernel puts them
// into the trees while others come.
const batch = 32

// maxPiece bounds how much data is written before it gets its place on btrfs, in bytes. The kernel does it by itself later.
const maxPiece = 8 << 20

// reserve comes before the data from start to end is written: xfs gives it its place.
func (o *order) reserve(fd int, start, end int64) error {
	if o.kind != "xfs" {
		return nil
	}
	return unix.Fallocate(fd, 0, start, end-start)
}

// settle comes after data was written: btrfs gives it its place, and notes that in its trees.
func (o *order) settle(fd int) error {
	if o.kind != "btrfs" {
		return nil
	}
	if err := unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER); err != nil {
		return err
	}
	// struct fiemap of linux/fiemap.h, which asks for the number of extents once they are in the trees.
	request := struct {
		start, length                         uint64
		flags, mapped, extents, reservedField uint32
	}{length: ^uint64(0), flags: 1} // FIEMAP_FLAG_SYNC
	const fiemap = 0xc020660b // FS_IOC_FIEMAP
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fiemap, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return unix.Syncfs(o.root)
}

// step comes after each entry: btrfs writes out a batch of them.
func (o *order) step() error {
	if o.kind != "btrfs" {
		return nil
	}
	if o.pending++; o.pending < batch {
		return nil
	}
	o.pending = 0
	return unix.Syncfs(o.root)
}
