//go:build linux

package main

import "syscall"

// fileSystem is one that a disk may have.
type fileSystem struct {
	name     string
	offset   int    // of the magic number of its superblock
	magic    string // as it lies on disk
	writable bool   // the kernel can write to it, so that it may be the root itself
}

// fileSystems are told apart in this order: what makes a later one may lie in a file's data of an earlier one.
var fileSystems = [...]fileSystem{
	{"squashfs", 0, "hsqs", false},
	{"xfs", 0, "XFSB", true},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0", false},
	{"ext4", 1024 + 56, "\x53\xef", true},
	{"btrfs", 64<<10 + 64, "_BHRfS_M", true},
}

// superblockSize is how much of a disk the table above looks at.
const superblockSize = 64<<10 + 72

// detect tells which file system the disk holds.
func detect(dev string) (*fileSystem, error) {
	fd, err := syscall.Open(dev, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fail("open "+dev, err, "")
	}
	defer syscall.Close(fd)
	b := make([]byte, superblockSize)
	n, err := syscall.Pread(fd, b, 0)
	if err != nil {
		return nil, fail("read "+dev, err, "")
	}
	if fs := fileSystemOf(b[:n]); fs != nil {
		return fs, nil
	}
	return nil, fail(dev+" holds no file system that boots (squashfs, erofs, ext4, xfs or btrfs), its first bytes are "+
		hex(b[:min(n, 8)]), nil, attachImage)
}

// fileSystemOf is the file system that starts with b, or nil.
func fileSystemOf(b []byte) *fileSystem {
	for i, fs := range fileSystems {
		if end := fs.offset + len(fs.magic); end <= len(b) && string(b[fs.offset:end]) == fs.magic {
			return &fileSystems[i]
		}
	}
	return nil
}
