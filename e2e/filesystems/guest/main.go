//go:build linux

// Command guest is the program of machines that test file system images: it mounts disks and writes what it finds to the
// last one.
//
// The kernel parameter disks=ACTION:TYPE,… says what becomes of the disks in their order: "walk" describes all files as
// imagetest.Tree does, "grow" mounts for writing, enlarges the file system to the whole disk, describes the files, writes
// and removes some. Each line in the result begins with the number of the disk and a space.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/imagetest"
)

const root = "/mnt"

func main() {
	if err := run(); err != nil {
		fmt.Println("guest: error:", err)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	parameters, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	var disks []string
	for p := range strings.FieldsSeq(string(parameters)) {
		if list, ok := strings.CutPrefix(p, "disks="); ok {
			disks = strings.Split(list, ",")
		}
	}
	result, err := os.OpenFile(device(len(disks)), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer result.Close()
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	for i, disk := range disks {
		action, kind, _ := strings.Cut(disk, ":")
		lines, err := map[string]func(device, kind string) ([]string, error){"walk": walk, "grow": grow}[action](device(i), kind)
		for _, line := range append(lines, fmt.Sprintf("done %v", err)) {
			if _, err := fmt.Fprintf(result, "%d %s\n", i, line); err != nil {
				return err
			}
		}
	}
	return result.Sync()
}

// device is the i-th virtio disk.
func device(i int) string { return fmt.Sprintf("/dev/vd%c", 'a'+i) }

// walk describes the files of a disk that the machine cannot write.
func walk(device, kind string) (lines []string, err error) {
	if err := unix.Mount(device, root, kind, unix.MS_RDONLY, ""); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(root, 0)) }()
	return imagetest.Tree(root, true)
}

// grow enlarges a file system and uses it; before the files come lines "journal BOOL" and "free BEFORE AFTER", in bytes.
func grow(device, kind string) (lines []string, err error) {
	if err := unix.Mount(device, root, kind, 0, ""); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(root, 0)) }()
	_, noJournal := os.Stat("/proc/fs/jbd2/" + filepath.Base(device) + "-8")
	before, err := free()
	if err != nil {
		return nil, err
	}
	if err := resize(device); err != nil {
		return nil, fmt.Errorf("resize: %w", err)
	}
	after, err := free()
	if err != nil {
		return nil, err
	}
	tree, err := imagetest.Tree(root, true)
	if err != nil {
		return nil, err
	}
	lines = append([]string{fmt.Sprintf("journal %t", noJournal == nil), fmt.Sprintf("free %d %d", before, after)}, tree...)
	return lines, use(before)
}

func free() (uint64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(root, &st)
	return st.Bfree * uint64(st.Bsize), err
}

// resize has ext4 fill its disk.
func resize(device string) error {
	disk, err := os.Open(device)
	if err != nil {
		return err
	}
	defer disk.Close()
	size, err := disk.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	dir, err := os.Open(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	const resizeFS = 0x40086610 // EXT4_IOC_RESIZE_FS, of fs/ext4/ext4.h
	blocks := uint64(size / 4096)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), resizeFS, uintptr(unsafe.Pointer(&blocks)))
	if errno != 0 {
		return errno
	}
	return nil
}

// use writes and removes files, one of them with more than size bytes.
func use(size uint64) error {
	for i := range 500 {
		if err := os.WriteFile(fmt.Sprintf("%s/new-%d", root, i), []byte("new"), 0o644); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(root + "/bin"); err != nil {
		return err
	}
	large, err := os.Create(root + "/large")
	if err != nil {
		return err
	}
	piece := bytes.Repeat([]byte("large "), 1<<16)
	for n := uint64(0); n <= size; n += uint64(len(piece)) {
		if _, err := large.Write(piece); err != nil {
			return err
		}
	}
	return large.Close()
}
