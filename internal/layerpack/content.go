// Package layerpack defines the layer pack: one OCI layer whose file data is already compressed into squashfs data
// blocks, with an index of its entries. Linking an image copies the blocks and writes only tables.
package layerpack

import "crypto/sha256"

// Uncompressed is set in an on-disk block size when the block is stored as it is (squashfs 4.0, data block sizes).
const Uncompressed = 1 << 24

// NoFragment is the Fragment of a content that has no tail in a fragment block.
const NoFragment = ^uint32(0)

// Content is the data of one or more regular files of a layer with the same bytes.
//
// The blocks follow each other in the pack from Offset without gaps. A file smaller than the block size lies whole in a
// fragment block; a larger one has only blocks, the last of which may be short. An empty file has neither.
type Content struct {
	Digest         [sha256.Size]byte // of the uncompressed bytes
	Size           uint64            // uncompressed bytes
	Offset         uint64            // of the first block, in bytes from the start of the pack
	Blocks         []uint32          // on-disk sizes, with the Uncompressed bit; 0 is a block of zeros that is not stored
	Fragment       uint32            // number of the fragment block in the pack, or NoFragment
	FragmentOffset uint32            // of the tail within the uncompressed fragment block
}

// FragmentBlock is one block that holds the data of several small files.
type FragmentBlock struct {
	Offset uint64 // in bytes from the start of the pack
	Size   uint32 // on-disk size, with the Uncompressed bit
	Length uint32 // uncompressed bytes in use, at most the block size
}
