//go:build linux

package main

import (
	"syscall"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/verity/layout"
)

const changed = "the image was changed or is damaged: copy or build it anew"

// rootHash is the root hash that the disk must have; nil is any disk.
func rootHash(configured, cmdline string) (*layout.Hash, error) {
	if configured == "" {
		return nil, nil
	}
	given := bootconf.FromCommandLine(cmdline, bootconf.RootHashKey)
	switch {
	case configured != bootconf.VerityCmdline && given == "":
		given = configured
	case given == "":
		return nil, fail("kernel command line: no roothash=, and this initramfs boots no image without", nil,
			"give the image's root hash, 64 hex digits")
	}
	root, err := layout.ParseHash(given)
	switch {
	case err != nil:
		return nil, fail("kernel command line: roothash=", err, "")
	case configured != bootconf.VerityCmdline && given != configured:
		return nil, fail("kernel command line: roothash="+given+" is not the root hash of this initramfs, "+configured, nil,
			"leave it out, or use the initramfs of the other image")
	}
	return &root, nil
}

// openVerified maps a disk, which begins with head, through dm-verity and gives the path of the device that comes out of
// it. All of that was read once: each byte of the image is as it was when the root hash was made.
func openVerified(dev string, fs *fileSystem, head []byte, root layout.Hash) (string, error) {
	if fs.writable() {
		return "", fail(dev+" holds "+fs.name+", and this initramfs boots only what has a hash tree of dm-verity, which "+fs.name+" cannot have",
			nil, "attach the image that was built with this initramfs")
	}
	blocks := (fs.size(head) + layout.BlockSize - 1) / layout.BlockSize
	salt, err := checkHashTree(dev, fs.name, blocks, root)
	if err != nil {
		return "", err
	}
	mapped, err := mapDevice("fledge", "verity", verityTable(dev, blocks, root, salt), blocks*(layout.BlockSize/512))
	if err != nil {
		return "", err
	}
	at, err := readAll(mapped, blocks*layout.BlockSize)
	if err != nil {
		return "", fail("the block at offset "+decimal(at)+" of "+dev+", or a hash over it, does not match root hash "+root.String(), err, changed)
	}
	return mapped, nil
}

// verityTable is what the kernel's dm-verity wants to know (Documentation/admin-guide/device-mapper/verity.rst).
func verityTable(dev string, blocks uint64, root, salt layout.Hash) string {
	size := decimal(layout.BlockSize)
	return "1 " + dev + " " + dev + " " + size + " " + size + " " + decimal(blocks) + " " + decimal(blocks+1) + " sha256 " +
		root.String() + " " + salt.String()
}

// checkHashTree makes sure that a superblock of dm-verity follows the blocks of a file system, that its block is as Fledge
// writes it to the last byte, and that the disk has room for the tree. It gives the salt.
func checkHashTree(dev, fs string, blocks uint64, root layout.Hash) (salt layout.Hash, err error) {
	fd, err := syscall.Open(dev, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return salt, fail("open "+dev, err, "")
	}
	defer syscall.Close(fd)
	end, err := syscall.Seek(fd, 0, 2) // SEEK_END
	if err != nil {
		return salt, fail("find the end of "+dev, err, "")
	}
	have := uint64(end) / layout.BlockSize
	offset := blocks * layout.BlockSize
	missing := fail("no hash tree of dm-verity at offset "+decimal(offset)+" of "+dev+", where its "+fs+" ends", nil,
		"build the image with dm-verity; if it was, "+changed)
	if blocks >= have {
		return salt, missing
	}
	block := make([]byte, layout.BlockSize)
	if n, err := syscall.Pread(fd, block, int64(offset)); err != nil || n < len(block) {
		return salt, fail("read "+dev+" at offset "+decimal(offset), err, changed)
	}
	switch bad := layout.Mismatch(block, root, blocks); {
	case bad < 0:
	case bad < len(layout.Signature):
		return salt, missing
	case layout.InUUID(bad):
		return salt, fail("the superblock of dm-verity at offset "+decimal(offset)+" of "+dev+" is of another root hash than "+root.String()+
			": byte "+decimal(offset+uint64(bad))+" differs", nil, "attach the image with this root hash; if it is that, "+changed)
	default:
		return salt, fail("byte "+decimal(offset+uint64(bad))+" of "+dev+", in the superblock of dm-verity, is not as it was made", nil, changed)
	}
	need := blocks + 1
	for _, level := range layout.Levels(blocks) {
		need += level
	}
	if need > have {
		return salt, fail(dev+" ends at "+decimal(uint64(end))+", and its hash tree at "+decimal(need*layout.BlockSize), nil,
			"the image was cut off: copy or build it anew")
	}
	return layout.Salt(block), nil
}

// readAll reads size bytes of a device. It gives the offset of what cannot be read.
func readAll(dev string, size uint64) (at uint64, err error) {
	fd, err := syscall.Open(dev, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	const sequential = 2 // POSIX_FADV_SEQUENTIAL
	syscall.Syscall6(syscall.SYS_FADVISE64, uintptr(fd), 0, 0, sequential, 0, 0)
	buffer := make([]byte, 1<<20)
	for at < size {
		n, err := syscall.Read(fd, buffer)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return at, err
		case n == 0:
			return at, syscall.EIO
		default:
			at += uint64(n)
		}
	}
	return at, nil
}
