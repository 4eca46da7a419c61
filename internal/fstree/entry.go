// Package fstree merges the layers of an image into one file system tree.
//
// It follows the layer rules of the OCI image specification (layer.md: whiteouts, opaque whiteouts, replacement, hard
// links) and knows metadata only: the content of a file is an opaque number that the layer's owner understands.
package fstree

// Type tells what an entry or a node is.
type Type uint8

// The kinds of entries. HardLink occurs in layers only: in a merged tree several names share one node instead.
const (
	Regular Type = iota + 1
	Directory
	Symlink
	HardLink
	CharDevice
	BlockDevice
	FIFO
	Socket
)

// NoContent is the Content of an entry that has none: everything but a regular file.
const NoContent = ^uint32(0)

// Xattr is one extended attribute. Name includes the namespace, for example "security.capability".
type Xattr struct {
	Name  string
	Value []byte
}

// Entry is one entry of a layer.
//
// Path is relative to the root, cleaned, without a leading slash and without "." or ".." elements; the root directory
// itself is ".". Names are bytes and need not be UTF-8. Whiteouts keep their names (".wh.x", ".wh..wh..opq"); Merger
// interprets them. Whoever reads entries from outside checks all this; Merger relies on it.
type Entry struct {
	Path         string
	Type         Type
	Mode         uint16 // permission bits with setuid, setgid and sticky (07777)
	UID, GID     uint32
	ModTime      int64   // seconds since 1970-01-01 UTC, may be negative
	Link         string  // target of a symlink as it stands in the layer, not empty; or path of a hard link's target
	Major, Minor uint32  // of a device
	Xattrs       []Xattr // sorted by Name, no duplicates
	Content      uint32  // of a regular file: its number in the layer's pack; else NoContent
}
