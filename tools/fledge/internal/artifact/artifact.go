// Package artifact is the one view of what can be inspected: squashfs images and initramfs archives, whoever made them, and,
// without their files, images of other file systems.
package artifact

import (
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/packing"
)

// The kinds of artifacts that have no other name: all file systems go by that of package packing.
const (
	Squashfs = packing.Squashfs
	CPIO     = "cpio"
)

// Artifact is an opened image. It is not safe for concurrent use.
type Artifact interface {
	// Info tells what is known of the artifact as a whole.
	Info() *Info
	// Walk gives the entry at path ("." is the root) and all below it: a directory before what is in it, and that in
	// the order of the names' bytes. An error is the last thing it gives.
	Walk(path string) iter.Seq2[*Entry, error]
	// Open reads the content of a regular file that Walk gave.
	Open(e *Entry) (io.Reader, error)
	// Digest is the SHA-256 of a regular file's content.
	Digest(e *Entry) ([sha256.Size]byte, error)
	// Verify reads every block and checks all that the format can tell. The error names the first damaged place.
	Verify() error
}

// ErrNotFound is what Walk gives for a path that is not there.
var ErrNotFound = errors.New("no such file or directory in the image")

// ErrUnlisted is what Walk, Open and Digest give for an artifact whose files fledge does not read.
var ErrUnlisted = errors.New("its files are not listed")

// Info tells about an artifact as a whole.
type Info struct {
	Kind       string          `json:"kind"`                 // squashfs, cpio, erofs, ext4, xfs or btrfs
	Size       int64           `json:"size"`                 // bytes
	Squashfs   *SquashfsInfo   `json:"squashfs"`             // of a squashfs
	Segments   []Segment       `json:"segments"`             // of a cpio archive, in their order
	FileSystem *FileSystemInfo `json:"filesystem,omitempty"` // of erofs, ext4, xfs and btrfs
	Verity     *VerityInfo     `json:"verity,omitempty"`     // the hash tree of dm-verity behind a file system
	Notes      []string        `json:"notes,omitempty"`      // what a kernel would do silently and the maker hardly meant
}

// FileSystemInfo is what the superblock of a file system other than squashfs says.
type FileSystemInfo struct {
	UUID       string   `json:"uuid"`
	Label      string   `json:"label,omitempty"`
	BlockSize  uint32   `json:"block_size"` // bytes
	Blocks     uint64   `json:"blocks"`
	Bytes      uint64   `json:"bytes"`                 // of all blocks
	Free       *uint64  `json:"free,omitempty"`        // bytes, also those that only root may use; nil when nothing can be
	Inodes     *uint64  `json:"inodes,omitempty"`      // nil when the superblock does not count them
	FreeInodes *uint64  `json:"free_inodes,omitempty"` // of Inodes
	Created    *int64   `json:"created,omitempty"`     // seconds since 1970-01-01 UTC
	Features   []string `json:"features,omitempty"`    // as the tools of the file system name them
}

// VerityInfo is what the superblock of a dm-verity hash tree says.
type VerityInfo struct {
	Algorithm     string `json:"algorithm"`       // of the hashes
	DataBlockSize uint32 `json:"data_block_size"` // bytes
	HashBlockSize uint32 `json:"hash_block_size"` // bytes
	DataBlocks    uint64 `json:"data_blocks"`
	HashOffset    int64  `json:"hash_offset"`         // of the superblock, bytes from the start of the image
	RootHash      string `json:"root_hash,omitempty"` // that of the tree's first block; "" for a tree of a form that fledge does not check
	Salt          string `json:"salt"`
}

// SquashfsInfo is what the superblock and the sizes of the tables say.
type SquashfsInfo struct {
	Version    string   `json:"version"`    // "4.0"
	Compressor string   `json:"compressor"` // gzip, lzma, lzo, xz, lz4 or zstd
	Options    []string `json:"options"`    // of the compressor, as name=value; empty when all are the defaults
	BlockSize  uint32   `json:"block_size"` // bytes
	Created    uint32   `json:"created"`    // seconds since 1970-01-01 UTC
	Flags      []string `json:"flags"`
	Inodes     uint32   `json:"inodes"`
	Fragments  uint32   `json:"fragments"` // fragment blocks
	IDs        uint16   `json:"ids"`       // different owners and groups
	BytesUsed  int64    `json:"bytes_used"`
	Parts      []Part   `json:"parts"` // in the order of the image
}

// Part is a part of a squashfs image.
type Part struct {
	Name   string `json:"name"`   // data, inodes, directories, fragments, export, ids or xattrs
	Offset int64  `json:"offset"` // bytes from the start of the image
	Size   int64  `json:"size"`   // bytes stored
}

// Segment is a part of an initramfs that is compressed as one, or an archive that is not compressed.
type Segment struct {
	Offset     int64  `json:"offset"`     // bytes from the start of the file
	Size       int64  `json:"size"`       // bytes stored
	Unpacked   int64  `json:"unpacked"`   // bytes that it unpacks to
	Compressor string `json:"compressor"` // none, gzip, bzip2, lzma, xz, lz4 or zstd
	Entries    int    `json:"entries"`    // without trailers
	Trailers   int    `json:"trailers"`   // records that end an archive
}

// Entry is a name in the tree of an artifact.
type Entry struct {
	Path         string // relative to the root, without a leading slash; "." is the root. Bytes, not always UTF-8
	Type         fstree.Type
	Mode         uint16 // permission bits with setuid, setgid and sticky (07777)
	UID, GID     uint32
	ModTime      int64  // seconds since 1970-01-01 UTC
	Size         int64  // bytes of a file's content or a symlink's target, else 0
	Target       string // of a symlink
	Major, Minor uint32 // of a device
	Links        uint32 // names that the inode has
	Inode        uint64 // the same number in an artifact: names of the same inode
	Xattrs       []fstree.Xattr
	Stored       int64  // bytes that the content takes in the artifact; of what files share, each has all
	Segment      int    // of a cpio archive: index of the segment that the content, or else the entry, is in
	Ref          uint64 // the artifact's own
}

// Name is the last element of the path.
func (e *Entry) Name() string { return e.Path[strings.LastIndexByte(e.Path, '/')+1:] }

// IsDevice tells whether the entry has device numbers.
func (e *Entry) IsDevice() bool { return e.Type == fstree.CharDevice || e.Type == fstree.BlockDevice }

// TypeName is the type as mtree(5) has it.
func (e *Entry) TypeName() string {
	switch e.Type {
	case fstree.Directory:
		return "dir"
	case fstree.Symlink:
		return "link"
	case fstree.CharDevice:
		return "char"
	case fstree.BlockDevice:
		return "block"
	case fstree.FIFO:
		return "fifo"
	case fstree.Socket:
		return "socket"
	}
	return "file"
}

// Join is the path of name in the directory dir.
func Join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
