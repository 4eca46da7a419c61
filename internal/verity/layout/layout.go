// Package layout says how what dm-verity needs lies on a disk behind a file system: a superblock as veritysetup writes it
// (cryptsetup's lib/verity/verity.c), in a block of its own, and the hash tree (the kernel's
// Documentation/admin-guide/device-mapper/verity.rst), its root's level first.
//
// Fledge has one form of it: SHA-256, blocks of 4096 bytes, hash type 1 (a block's hash is that of the salt and the block),
// and a salt of 32 bytes.
//
// The init, which is PID 1 and should be small, uses this package, so it imports next to nothing.
package layout

import "errors"

// BlockSize is that of data and of hashes, in bytes.
const BlockSize = 4096

const hashesPerBlock = uint64(BlockSize / len(Hash{}))

// Hash is a SHA-256, which a salt is, too.
type Hash [32]byte

const digits = "0123456789abcdef"

// ParseHash reads 64 lower-case hex digits.
func ParseHash(s string) (h Hash, err error) {
	if len(s) != 2*len(h) {
		return h, badHash(s)
	}
	for i := range len(s) {
		c, v := s[i], byte(0)
		switch {
		case c >= '0' && c <= '9':
			v = c - '0'
		case c >= 'a' && c <= 'f':
			v = c - 'a' + 10
		default:
			return Hash{}, badHash(s)
		}
		h[i/2] = h[i/2]<<4 | v
	}
	return h, nil
}

func badHash(s string) error { return errors.New("\"" + s + "\" is not 64 lower-case hex digits") }

// String is what ParseHash reads.
func (h Hash) String() string {
	var s [2 * len(h)]byte
	for i, b := range h {
		s[2*i], s[2*i+1] = digits[b>>4], digits[b&15]
	}
	return string(s[:])
}

// MarshalText is for JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is for JSON.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// Signature is what a superblock begins with.
const Signature = "verity\x00\x00"

// Places in the superblock.
const (
	uuidAt, uuidEnd = 16, 32
	saltAt          = 88
)

// Superblock is the only superblock, with the zeros that fill its block, that Fledge's images have for a root hash, a salt
// and a number of data blocks.
func Superblock(root, salt Hash, dataBlocks uint64) []byte {
	b := make([]byte, BlockSize)
	copy(b, Signature)
	put(b[8:12], 1)  // version
	put(b[12:16], 1) // hash type
	uuid := b[uuidAt:uuidEnd]
	copy(uuid, root[:])
	uuid[6] = uuid[6]&0x0f | 0x80 // version 8: the vendor's own (RFC 9562, section 5.8)
	uuid[8] = uuid[8]&0x3f | 0x80 // variant
	copy(b[32:64], "sha256")
	put(b[64:68], BlockSize)
	put(b[68:72], BlockSize)
	put(b[72:80], dataBlocks)
	put(b[80:82], uint64(len(salt)))
	copy(b[saltAt:], salt[:])
	return b
}

// put writes a little-endian number.
func put(b []byte, n uint64) {
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
}

// Salt is the salt in a superblock's block.
func Salt(block []byte) Hash { return Hash(block[saltAt:]) }

// Mismatch is the offset of the first byte of block that differs from the superblock for a root hash, a number of data
// blocks and block's own salt, or -1. The block has BlockSize bytes.
func Mismatch(block []byte, root Hash, dataBlocks uint64) int {
	for i, want := range Superblock(root, Salt(block), dataBlocks) {
		if block[i] != want {
			return i
		}
	}
	return -1
}

// InUUID tells whether an offset that Mismatch gave is in the UUID: the superblock is that of another root hash.
func InUUID(offset int) bool { return offset >= uuidAt && offset < uuidEnd }

// Levels are the numbers of blocks of the hash tree's levels, from the root's, which comes first on disk, to that with the
// hashes of data blocks. A single data block has no tree: its hash is the root hash.
func Levels(dataBlocks uint64) []uint64 {
	var levels []uint64
	for n := dataBlocks; n > 1; {
		n = (n + hashesPerBlock - 1) / hashesPerBlock
		levels = append([]uint64{n}, levels...)
	}
	return levels
}
