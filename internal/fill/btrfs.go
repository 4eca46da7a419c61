package fill

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// btrfsFixer takes out of a btrfs what differs between runs: of what mkfs made, UUIDs that it draws, and of what the machine
// filled, times of creation and change. Nothing of the tree's depends on these.
//
// Every block of a tree says to which file system it belongs and has a checksum (btrfs's documentation, "On-disk Format"), so
// that it is found without the trees that lead to it. That data of a file looks like it cannot be: the UUID is a hash of
// the data.
type btrfsFixer struct {
	uuid    []byte
	renamed map[[16]byte][16]byte // UUIDs that mkfs drew, and those they get
}

const (
	btrfsNode      = 16384 // as mkfs is told
	btrfsSuperSize = 4096
	btrfsMagic     = "_BHRfS_M"
	btrfsMagicAt   = 64
	btrfsChecksum  = 32 // bytes for one, of which CRC-32C takes 4
	btrfsUUIDAt    = 32 // of the file system, in superblocks and nodes
)

// btrfsSupers are the places of the superblock and its copies.
var btrfsSupers = []int64{64 << 10, 64 << 20, 256 << 30}

// Places in a superblock.
const (
	superNodeSizeAt = 148
	superCsumTypeAt = 196 // 0 is CRC-32C
	superDeviceAt   = 267 // UUID of the device
)

// Places in a node.
const (
	nodeChunkUUIDAt = 64
	nodeOwnerAt     = 88
	nodeItemsAt     = 96
	nodeLevelAt     = 100
	nodeHeaderSize  = 101
	nodeItemSize    = 25 // of an item in a leaf: key (object, type, offset), place and size of the item's data
)

// Types of items and their places.
const (
	inodeItem       = 1
	inodeSequenceAt = 72
	inodeAtimeAt    = 112
	inodeCtimeAt    = 124
	inodeMtimeAt    = 136
	inodeOtimeAt    = 148
	inodeItemSize   = 160

	rootItem      = 132 // it begins with an inode
	rootUUIDAt    = 247
	rootTimesAt   = 327
	rootItemSize  = 439
	subvolumeItem = 251 // the key has a UUID
	btrfsFileTree = 5   // owner of the nodes with files
	btrfsTimeSize = 12
)

// newBtrfsFixer fixes what mkfs made, so that the kernel finds the same in every run.
func newBtrfsFixer(f *os.File) (fixer, error) {
	b := make([]byte, btrfsSuperSize)
	if _, err := f.ReadAt(b, btrfsSupers[0]); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if string(b[btrfsMagicAt:btrfsMagicAt+8]) != btrfsMagic || le.Uint32(b[superNodeSizeAt:]) != btrfsNode || le.Uint16(b[superCsumTypeAt:]) != 0 {
		return nil, errors.New("it did not make a btrfs with nodes of 16384 bytes and CRC-32C")
	}
	x := &btrfsFixer{uuid: bytes.Clone(b[btrfsUUIDAt : btrfsUUIDAt+16]), renamed: map[[16]byte][16]byte{}}
	x.rename("device", b[superDeviceAt:])
	if err := eachPiece(f, func(b []byte, _ int64) error {
		x.eachNode(b, x.learn)
		return nil
	}); err != nil {
		return nil, err
	}
	err := eachPiece(f, func(b []byte, at int64) error {
		x.fix(b, at)
		_, err := f.WriteAt(b, at)
		return err
	})
	x.renamed = nil
	return x, err
}

// eachPiece calls do for those pieces of a file that are not all zeros.
func eachPiece(f *os.File, do func(b []byte, at int64) error) error {
	b, zeros := make([]byte, pieceSize), make([]byte, pieceSize)
	for at := int64(0); ; {
		n, err := f.ReadAt(b, at)
		if n > 0 && !bytes.Equal(b[:n], zeros[:n]) {
			if err := do(b[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rename gives the UUID at the beginning of b a new one, which depends on the file system's and on what it is of.
func (x *btrfsFixer) rename(what string, b []byte) {
	h := sha256.Sum256(append([]byte("fledge btrfs "+what+"\n"), x.uuid...))
	x.renamed[[16]byte(b)] = versionedUUID(h)
}

// learn finds the UUIDs that mkfs drew in a node.
func (x *btrfsFixer) learn(node []byte) {
	x.rename("chunks", node[nodeChunkUUIDAt:])
	eachItem(node, func(key, data []byte) {
		if key[8] == rootItem && len(data) == rootItemSize && !bytes.Equal(data[rootUUIDAt:rootUUIDAt+16], make([]byte, 16)) {
			x.rename("files", data[rootUUIDAt:])
		}
	})
}

// fix changes a piece of the image, which begins at the offset at. Both are multiples of a node.
func (x *btrfsFixer) fix(b []byte, at int64) {
	x.eachNode(b, x.fixNode)
	for _, place := range btrfsSupers {
		if i := place - at; i >= 0 && i+btrfsSuperSize <= int64(len(b)) {
			if super := b[i : i+btrfsSuperSize]; x.isValid(super) {
				x.replaceUUIDs(super)
				seal(super)
			}
		}
	}
}

// eachNode calls do for the nodes in a piece, and gives them their checksums anew.
func (x *btrfsFixer) eachNode(b []byte, do func(node []byte)) {
	for ; len(b) >= btrfsNode; b = b[btrfsNode:] {
		if node := b[:btrfsNode]; x.isValid(node) {
			do(node)
			seal(node)
		}
	}
}

// isValid tells whether b is a superblock or a node of this file system.
func (x *btrfsFixer) isValid(b []byte) bool {
	return bytes.Equal(b[btrfsUUIDAt:btrfsUUIDAt+16], x.uuid) &&
		binary.LittleEndian.Uint32(b) == crc32.Checksum(b[btrfsChecksum:], castagnoli)
}

func seal(b []byte) {
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[btrfsChecksum:], castagnoli))
}

// eachItem calls do for the items of a leaf: the key of 17 bytes, and the data.
func eachItem(node []byte, do func(key, data []byte)) {
	le := binary.LittleEndian
	if node[nodeLevelAt] != 0 {
		return
	}
	count := min(int(le.Uint32(node[nodeItemsAt:])), (btrfsNode-nodeHeaderSize)/nodeItemSize)
	for i := range count {
		item := node[nodeHeaderSize+i*nodeItemSize:]
		from, size := int64(le.Uint32(item[17:])), int64(le.Uint32(item[21:]))
		if from += nodeHeaderSize; from+size <= btrfsNode {
			do(item[:17], node[from:from+size])
		}
	}
}

func (x *btrfsFixer) fixNode(node []byte) {
	// In what mkfs made no inode is the tree's yet.
	inTree := binary.LittleEndian.Uint64(node[nodeOwnerAt:]) == btrfsFileTree && x.renamed == nil
	eachItem(node, func(key, data []byte) {
		switch {
		case key[8] == inodeItem && len(data) == inodeItemSize:
			fixInodeItem(data, inTree)
		case key[8] == rootItem && len(data) == rootItemSize:
			fixInodeItem(data[:inodeItemSize], false)
			clear(data[rootTimesAt : rootTimesAt+4*btrfsTimeSize])
		case key[8] == subvolumeItem:
			uuid := [16]byte(append(bytes.Clone(key[:8]), key[9:]...))
			if to, ok := x.renamed[uuid]; ok {
				copy(key[:8], to[:8])
				copy(key[9:], to[8:])
			}
		}
	})
	x.replaceUUIDs(node)
}

// fixInodeItem gives an inode the times of its last change, or those of 1970 when it is none of the tree's.
func fixInodeItem(b []byte, inTree bool) {
	if !inTree {
		clear(b[inodeAtimeAt : inodeAtimeAt+4*btrfsTimeSize])
	}
	binary.LittleEndian.PutUint64(b[inodeSequenceAt:], 1)
	mtime := b[inodeMtimeAt : inodeMtimeAt+btrfsTimeSize]
	copy(b[inodeCtimeAt:], mtime)
	copy(b[inodeOtimeAt:], mtime)
}

// replaceUUIDs replaces those that mkfs drew, wherever they are.
func (x *btrfsFixer) replaceUUIDs(b []byte) {
	for from, to := range x.renamed {
		for rest := b; ; {
			i := bytes.Index(rest, from[:])
			if i < 0 {
				break
			}
			copy(rest[i:], to[:])
			rest = rest[i+16:]
		}
	}
}
