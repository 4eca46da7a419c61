//go:build linux

package main

import "syscall"

// fileSystem is one that a disk may have.
type fileSystem struct {
	name   string
	offset int    // of the magic number of its superblock
	magic  string // as it lies on disk
	// size is, of one that the kernel never writes to, its size in bytes as its superblock says; nil of the others.
	size func(head []byte) uint64
}

// writable tells whether the file system may be the root itself.
func (fs *fileSystem) writable() bool { return fs.size == nil }

// fileSystems are told apart in this order: what makes a later one may lie in a file's data of an earlier one.
var fileSystems = [...]fileSystem{
	{"squashfs", 0, "hsqs", squashfsSize},
	{"xfs", 0, "XFSB", nil},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0", erofsSize},
	{"ext4", 1024 + 56, "\x53\xef", nil},
	{"btrfs", 64<<10 + 64, "_BHRfS_M", nil},
}

// squashfsSize is the bytes_used of struct squashfs_super_block.
func squashfsSize(head []byte) uint64 { return number(head, 40, 8) }

// erofsSize is the blocks by the blkszbits of struct erofs_super_block.
func erofsSize(head []byte) uint64 { return number(head, 1024+36, 4) << number(head, 1024+12, 1) }

// superblockSize is how much of a disk the table above looks at.
const superblockSize = 64<<10 + 72

// detect tells which file system the disk holds, and gives the disk's first superblockSize bytes.
func detect(dev string) (fs *fileSystem, head []byte, err error) {
	fd, err := syscall.Open(dev, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fail("open "+dev, err, "")
	}
	defer syscall.Close(fd)
	head = make([]byte, superblockSize)
	n, err := syscall.Pread(fd, head, 0)
	if err != nil {
		return nil, nil, fail("read "+dev, err, "")
	}
	if fs := fileSystemOf(head[:n]); fs != nil {
		return fs, head[:n], nil
	}
	return nil, nil, fail(dev+" holds no file system that boots (squashfs, erofs, ext4, xfs or btrfs), its first bytes are "+
		hex(head[:min(n, 8)]), nil, attachImage+"; if it is, "+changed)
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
