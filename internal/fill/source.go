package fill

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// source is the image of the tree, as far as the new file system depends on it. Sizes are in bytes.
type source struct {
	digest [sha256.Size]byte
	used   int64 // blocks in use
	inodes int64 // in use
}

// Places in ext4's superblock (Documentation/filesystems/ext4/super.rst in the kernel's sources).
const (
	superOffset   = 1024
	superSize     = 1024
	inodesAt      = 0x00
	blocksAt      = 0x04
	freeBlocksAt  = 0x0c
	freeInodesAt  = 0x10
	blockSizeAt   = 0x18
	magicAt       = 0x38
	blocksHighAt  = 0x150
	freeHighAt    = 0x158
	ext4Magic     = 0xef53
	smallestBlock = 1024
)

// openSource reads an image: its superblock, and all of it for its digest.
func openSource(ctx context.Context, path string) (s source, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	b := make([]byte, superSize)
	if _, err := f.ReadAt(b, superOffset); err != nil && err != io.EOF {
		return s, err
	}
	le := binary.LittleEndian
	if le.Uint16(b[magicAt:]) != ext4Magic || le.Uint32(b[blockSizeAt:]) > 6 {
		return s, fmt.Errorf("%s: it is no ext4 image, which the tree is taken from", path)
	}
	number := func(low, high int) int64 {
		return int64(le.Uint32(b[low:])) | int64(le.Uint32(b[high:])&0xffff)<<32
	}
	blockSize := int64(smallestBlock) << le.Uint32(b[blockSizeAt:])
	s.used = (number(blocksAt, blocksHighAt) - number(freeBlocksAt, freeHighAt)) * blockSize
	s.inodes = int64(le.Uint32(b[inodesAt:])) - int64(le.Uint32(b[freeInodesAt:]))
	h := sha256.New()
	if _, err := io.Copy(h, &reader{ctx, f}); err != nil {
		return s, err
	}
	h.Sum(s.digest[:0])
	return s, nil
}
