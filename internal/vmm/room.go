package vmm

import (
	"fmt"
	"io/fs"
	"syscall"
)

// littleRoom is how much is left, in bytes, where a monitor finds no room for a guest's block.
const littleRoom = 1 << 20

// Explain adds to an error of a machine that a writable disk's file is where no room is left, if it is so: the guest has just
// seen a disk that fails. The files must still be there.
func Explain(err error, disks []Disk) error {
	for _, d := range disks {
		var st syscall.Statfs_t
		if d.Writable && syscall.Statfs(d.File, &st) == nil && st.Bavail*uint64(st.Bsize) < littleRoom {
			return fmt.Errorf("%w, and the machine could not use its disk: %w", &fs.PathError{Op: "write", Path: d.File, Err: syscall.ENOSPC}, err)
		}
	}
	return err
}
