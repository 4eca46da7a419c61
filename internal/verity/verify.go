package verity

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"

	"github.com/fledge-build/fledge/internal/verity/layout"
)

// Verify checks an image against its root hash, as the kernel does: superblock, hash tree and all blocks of the file system.
// The error names the first damaged place, of the tree before the file system. It hashes on jobs cores, 0 for all of them.
func Verify(image io.ReaderAt, p Params, jobs int) error {
	if err := p.check(); err != nil {
		return err
	}
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	super := make([]byte, layout.BlockSize)
	if err := readFull(image, super, p.HashOffset); err != nil {
		return err
	}
	if want := layout.Superblock(p.RootHash, p.Salt, uint64(p.DataBlocks)); !bytes.Equal(super, want) {
		return fmt.Errorf("dm-verity: the superblock of the hash tree at byte %d is not the one for the root hash %s", p.HashOffset, p.RootHash)
	}
	hashes, at := p.RootHash[:], p.HashOffset+layout.BlockSize
	for _, blocks := range layout.Levels(uint64(p.DataBlocks)) {
		level := make([]byte, int64(blocks)*layout.BlockSize)
		if err := readFull(image, level, at); err != nil {
			return err
		}
		if err := compare(bytes.NewReader(level), int64(blocks), hashes, p.Salt, jobs, "the hash tree", at); err != nil {
			return err
		}
		hashes, at = level, at+int64(len(level))
	}
	return compare(image, p.DataBlocks, hashes, p.Salt, jobs, "the file system", 0)
}

func readFull(r io.ReaderAt, p []byte, at int64) error {
	if n, err := r.ReadAt(p, at); n < len(p) {
		return fmt.Errorf("dm-verity: read the hash tree at byte %d: %w", at+int64(n), err)
	}
	return nil
}

// compare hashes blocks, which lie at byte at of the image, and compares with what their hashes have to be.
func compare(data io.ReaderAt, blocks int64, want []byte, salt layout.Hash, jobs int, what string, at int64) error {
	got, err := hashBlocks(data, blocks, salt, jobs)
	if err != nil {
		return err
	}
	for i := int64(0); i < blocks; i++ {
		if hash := i * sha256.Size; !bytes.Equal(got[hash:hash+sha256.Size], want[hash:hash+sha256.Size]) {
			return fmt.Errorf("dm-verity: %s is damaged in the block at byte %d", what, at+i*layout.BlockSize)
		}
	}
	return nil
}
