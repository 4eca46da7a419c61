// Package cpio writes archives in cpio's "new ASCII" format (newc, magic 070701), the one the Linux kernel unpacks as
// an initramfs. Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel sources.
package cpio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// File types, the upper bits of Header.Mode (as in stat(2)).
const (
	TypeFIFO    = 0o010000
	TypeChar    = 0o020000
	TypeDir     = 0o040000
	TypeBlock   = 0o060000
	TypeRegular = 0o100000
	TypeSymlink = 0o120000
	TypeSocket  = 0o140000

	typeMask = 0o170000
)

const (
	trailer = "TRAILER!!!"
	// maxName is the kernel's PATH_MAX: it silently skips entries with a longer name (final NUL included) or link.
	maxName = 4096
)

// Header describes one entry. Every number is an unsigned 32 bit field of the format; Size is wider so that a file that
// does not fit is an error instead of a cut-off size.
type Header struct {
	Name         string // path without a leading slash; bytes other than NUL
	Mode         uint32 // type and permission bits
	Inode        uint32 // entries with the same number and Links > 1 are hard links of each other
	UID, GID     uint32
	Links        uint32 // 0 stands for 2 for a directory and 1 for all else
	ModTime      uint32 // seconds since 1970-01-01 UTC
	Size         int64  // bytes of data: content of a file, target of a symlink; else 0
	DevMajor     uint32 // of the file system the entry is on
	DevMinor     uint32
	Major, Minor uint32 // of a device node
}

// Writer writes an archive entry by entry. Like any io.Writer of a stream it keeps its first error.
type Writer struct {
	w       io.Writer
	offset  int64 // bytes written, for the alignment of 4
	left    int64 // bytes of the current entry still to come
	current string
	err     error
}

// NewWriter starts an archive. The alignment of entries counts from here.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// WriteHeader ends the previous entry and begins the next; exactly h.Size bytes of Write must follow. It fails when the
// previous entry lacks data or h does not fit the format.
func (w *Writer) WriteHeader(h *Header) error {
	if err := w.endEntry(); err != nil {
		return err
	}
	if err := check(h); err != nil {
		return err
	}
	return w.header(h)
}

// Write writes data of the current entry.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err == nil && int64(len(p)) > w.left {
		return 0, fmt.Errorf("cpio: entry %q: %d bytes more than its header says", w.current, int64(len(p))-w.left)
	}
	n := w.emit(p)
	w.left -= int64(n)
	return n, w.err
}

// Flush ends the last entry without a trailer: what follows may be another part of the same archive.
func (w *Writer) Flush() error { return w.endEntry() }

// Close writes the trailer. It does not close the underlying writer.
func (w *Writer) Close() error {
	if err := w.endEntry(); err != nil {
		return err
	}
	if err := w.header(&Header{Name: trailer, Links: 1}); err != nil {
		return err
	}
	w.err = errors.New("cpio: the archive is closed")
	return nil
}

func check(h *Header) error {
	reason := ""
	switch {
	case h.Name == "":
		reason = "empty name"
	case h.Name == trailer:
		reason = "the name ends an archive"
	case strings.IndexByte(h.Name, 0) >= 0:
		reason = "NUL byte in the name"
	case len(h.Name)+1 > maxName:
		reason = fmt.Sprintf("name of %d bytes, the kernel takes at most %d", len(h.Name), maxName-1)
	case h.Size < 0:
		reason = "negative size"
	case h.Size > math.MaxUint32:
		reason = fmt.Sprintf("%d bytes, the format holds at most 4 GiB - 1 a file", h.Size)
	case h.Mode&typeMask == TypeSymlink && h.Size > maxName:
		reason = fmt.Sprintf("symlink target of %d bytes, the kernel takes at most %d", h.Size, maxName)
	case h.Mode&typeMask != TypeRegular && h.Mode&typeMask != TypeSymlink && h.Size != 0:
		reason = "data on an entry that is neither a file nor a symlink"
	default:
		return nil
	}
	return fmt.Errorf("cpio: entry %.200q: %s", h.Name, reason)
}

func (w *Writer) header(h *Header) error {
	links := h.Links
	switch {
	case links != 0:
	case h.Mode&typeMask == TypeDir:
		links = 2
	default:
		links = 1
	}
	b := make([]byte, 0, 110+len(h.Name)+4)
	b = append(b, "070701"...)
	for _, v := range [...]uint32{
		h.Inode, h.Mode, h.UID, h.GID, links, h.ModTime, uint32(h.Size),
		h.DevMajor, h.DevMinor, h.Major, h.Minor, uint32(len(h.Name) + 1), 0, // the last one is the checksum, unused
	} {
		b = fmt.Appendf(b, "%08X", v)
	}
	b = append(append(b, h.Name...), 0)
	w.emit(b)
	w.pad()
	w.left, w.current = h.Size, h.Name
	return w.err
}

func (w *Writer) endEntry() error {
	if w.err == nil && w.left > 0 {
		return fmt.Errorf("cpio: entry %q: %d bytes less than its header says", w.current, w.left)
	}
	w.pad()
	return w.err
}

func (w *Writer) pad() {
	var zero [3]byte
	w.emit(zero[:-w.offset&3])
}

func (w *Writer) emit(p []byte) int {
	if w.err != nil || len(p) == 0 {
		return 0
	}
	n, err := w.w.Write(p)
	w.offset += int64(n)
	w.err = err
	return n
}
