// Package verity makes the hash trees of dm-verity, with which the kernel finds every changed byte of a read-only file
// system from one root hash. They are in the format of veritysetup and lie in the image's file behind the file system:
//
//	file system   padded with zeros to whole blocks of 4096 bytes
//	superblock    one block
//	hash tree     32 bytes for each data block and a 128th of that for the levels above; see package layout
//
// "veritysetup verify IMAGE IMAGE ROOTHASH --hash-offset=N" checks an image.
package verity

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/fledge-build/fledge/internal/verity/layout"
)

// Image is a file that can be read at any place and grows at its end by what is written to it.
type Image interface {
	io.ReaderAt
	io.Writer
}

// Append appends padding, superblock and hash tree to an image that holds a file system of size bytes and nothing else,
// and reads the file system once. salt should be the file system's SHA-256: other content, other salt. It hashes on jobs
// cores, 0 for all of them; the result does not depend on that. It takes 33 bytes of memory for each block of 4096.
func Append(image Image, size int64, salt layout.Hash, jobs int) (Params, error) {
	if size <= 0 {
		return Params{}, errors.New("dm-verity: the file system is empty")
	}
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	blocks := (size + layout.BlockSize - 1) / layout.BlockSize
	if _, err := image.Write(make([]byte, blocks*layout.BlockSize-size)); err != nil {
		return Params{}, err
	}
	levels, root, err := hashTree(image, blocks, salt, jobs)
	if err != nil {
		return Params{}, err
	}
	if _, err := image.Write(layout.Superblock(root, salt, uint64(blocks))); err != nil {
		return Params{}, err
	}
	for i := len(levels) - 1; i >= 0; i-- {
		if _, err := image.Write(levels[i]); err != nil {
			return Params{}, err
		}
	}
	return Params{
		Algorithm: algorithm, DataBlockSize: layout.BlockSize, HashBlockSize: layout.BlockSize,
		DataBlocks: blocks, HashOffset: blocks * layout.BlockSize, RootHash: root, Salt: salt,
	}, nil
}

// hashTree gives the tree's levels, from that with the hashes of data blocks up, and the root hash.
func hashTree(data io.ReaderAt, blocks int64, salt layout.Hash, jobs int) (levels [][]byte, root layout.Hash, err error) {
	for {
		hashes, err := hashBlocks(data, blocks, salt, jobs)
		if err != nil {
			return nil, root, err
		}
		if blocks == 1 {
			return levels, layout.Hash(hashes), nil
		}
		levels = append(levels, hashes)
		data, blocks = bytes.NewReader(hashes), int64(len(hashes)/layout.BlockSize)
	}
}

// hashBlocks is the hashes of all blocks, filled up to whole blocks with zeros.
func hashBlocks(data io.ReaderAt, blocks int64, salt layout.Hash, jobs int) ([]byte, error) {
	const together = 256 // blocks that are read at once
	size := blocks * sha256.Size
	hashes := make([]byte, (size+layout.BlockSize-1)/layout.BlockSize*layout.BlockSize)
	pieces := (blocks + together - 1) / together
	var next atomic.Int64
	var wait sync.WaitGroup
	errs := make([]error, min(int64(jobs), pieces))
	for job := range errs {
		wait.Go(func() {
			buffer := make([]byte, min(blocks, together)*layout.BlockSize)
			for errs[job] == nil {
				first := (next.Add(1) - 1) * together
				if first >= blocks {
					return
				}
				count := min(blocks-first, together)
				errs[job] = hashPiece(hashes[first*sha256.Size:][:count*sha256.Size], data, first, buffer, salt)
			}
		})
	}
	wait.Wait()
	return hashes, errors.Join(errs...)
}

// hashPiece fills hashes with those of the blocks from first on. The buffer has room for them all.
func hashPiece(hashes []byte, data io.ReaderAt, first int64, buffer []byte, salt layout.Hash) error {
	buffer = buffer[:len(hashes)/sha256.Size*layout.BlockSize]
	if n, err := data.ReadAt(buffer, first*layout.BlockSize); n < len(buffer) {
		return fmt.Errorf("dm-verity: read the file system at byte %d: %w", first*layout.BlockSize+int64(n), err)
	}
	h := sha256.New()
	for len(buffer) > 0 {
		h.Reset()
		h.Write(salt[:])
		h.Write(buffer[:layout.BlockSize])
		h.Sum(hashes[:0])
		hashes, buffer = hashes[sha256.Size:], buffer[layout.BlockSize:]
	}
	return nil
}
