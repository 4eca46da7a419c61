// Package entries encodes the entries of a layer for the index of a pack, and checks those that come from outside.
package entries

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
)

// Bounds of one entry, so that a hostile layer or a broken pack cannot ask for much memory. Linux allows less: 4 KiB of
// path or symlink target, 255 bytes of xattr name, 64 KiB of value.
const (
	maxString     = 64 << 10 // of a path, a link, an xattr's name or value, in bytes
	maxXattrs     = 4 << 10  // of one entry
	maxXattrBytes = 4 << 20  // names and values of one entry
)

// Writer encodes entries. A path is written as the number of bytes it shares with the one before and the rest.
type Writer struct {
	chunks [][]byte
	last   string
}

// chunkSize is how much is allocated at a time, so that the list grows without being copied.
const chunkSize = 64 << 10

// Add encodes e into the last chunk.
func (w *Writer) Add(e fstree.Entry) {
	last := len(w.chunks) - 1
	if last < 0 || len(w.chunks[last]) > chunkSize-512 {
		w.chunks = append(w.chunks, make([]byte, 0, chunkSize))
		last++
	}
	w.chunks[last] = w.append(w.chunks[last], e)
}

// Size is the length of what was encoded, in bytes.
func (w *Writer) Size() (n int64) {
	for _, chunk := range w.chunks {
		n += int64(len(chunk))
	}
	return n
}

// Reader gives what was encoded so far.
func (w *Writer) Reader() io.Reader {
	parts := make([]io.Reader, len(w.chunks))
	for i, chunk := range w.chunks {
		parts[i] = bytes.NewReader(chunk)
	}
	return io.MultiReader(parts...)
}

func (w *Writer) append(b []byte, e fstree.Entry) []byte {
	shared := 0
	for shared < min(len(w.last), len(e.Path)) && w.last[shared] == e.Path[shared] {
		shared++
	}
	w.last = e.Path
	b = append(b, byte(e.Type))
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendString(b, e.Path[shared:])
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.UID))
	b = binary.AppendUvarint(b, uint64(e.GID))
	b = binary.AppendVarint(b, e.ModTime)
	switch e.Type {
	case fstree.Regular:
		b = binary.AppendUvarint(b, uint64(e.Content))
	case fstree.Symlink, fstree.HardLink:
		b = appendString(b, e.Link)
	case fstree.CharDevice, fstree.BlockDevice:
		b = binary.AppendUvarint(b, uint64(e.Major))
		b = binary.AppendUvarint(b, uint64(e.Minor))
	}
	b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
	for _, x := range e.Xattrs {
		b = appendString(b, x.Name)
		b = appendString(b, string(x.Value))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader decodes entries. The first error sticks.
type reader struct {
	r        *bufio.Reader
	contents int64 // how many contents the pack has
	last     string
	err      error
}

// Read decodes the entries that a Writer encoded into section: count of them, with contents below contents. It ends
// with the first error, which says that the index is not what was written.
func Read(section io.Reader, count, contents int64) iter.Seq2[fstree.Entry, error] {
	return func(yield func(fstree.Entry, error) bool) {
		in := reader{r: bufio.NewReaderSize(section, 64<<10), contents: contents}
		for i := range count {
			e, err := in.next()
			if err != nil {
				yield(fstree.Entry{}, fmt.Errorf("entry %d: %w", i, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if _, err := in.r.ReadByte(); err != io.EOF {
			yield(fstree.Entry{}, fmt.Errorf("more than its %d entries", count))
		}
	}
}

func (r *reader) next() (fstree.Entry, error) {
	e := fstree.Entry{Type: fstree.Type(r.uint(uint64(fstree.Socket))), Content: fstree.NoContent}
	shared := r.uint(uint64(len(r.last)))
	e.Path = r.last[:shared] + r.string()
	e.Mode = uint16(r.uint(0o7777))
	e.UID = uint32(r.uint(math.MaxUint32))
	e.GID = uint32(r.uint(math.MaxUint32))
	e.ModTime = r.int()
	switch e.Type {
	case fstree.Regular:
		e.Content = uint32(r.uint(uint64(r.contents)))
		if int64(e.Content) == r.contents {
			r.fail(errors.New("content out of range"))
		}
	case fstree.Symlink, fstree.HardLink:
		e.Link = r.string()
	case fstree.CharDevice, fstree.BlockDevice:
		e.Major = uint32(r.uint(math.MaxUint32))
		e.Minor = uint32(r.uint(math.MaxUint32))
	}
	e.Xattrs = r.xattrs()
	if r.err == nil {
		r.fail(Check(e))
	}
	r.last = e.Path
	return e, r.err
}

func (r *reader) xattrs() []fstree.Xattr {
	var list []fstree.Xattr
	for n := r.uint(maxXattrs); n > 0 && r.err == nil; n-- {
		list = append(list, fstree.Xattr{Name: r.string(), Value: []byte(r.string())})
	}
	return list
}

func (r *reader) fail(err error) {
	if r.err == nil && err != nil {
		r.err = err
	}
}

// uint is the next number, which may be at most limit.
func (r *reader) uint(limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(r.r)
	if err == nil && v > limit {
		err = fmt.Errorf("number %d out of range", v)
	}
	if err != nil {
		r.err = err
		return 0
	}
	return v
}

func (r *reader) int() int64 {
	if r.err != nil {
		return 0
	}
	v, err := binary.ReadVarint(r.r)
	r.fail(err)
	return v
}

func (r *reader) string() string {
	n := r.uint(maxString)
	if r.err != nil {
		return ""
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r.r, b)
	r.fail(err)
	return string(b)
}

// Check tells whether e is an entry as package fstree defines it, so that neither a hostile layer nor a broken
// pack hands a bad one on.
func Check(e fstree.Entry) error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	switch e.Type {
	case fstree.Regular, fstree.Directory, fstree.FIFO, fstree.Socket, fstree.CharDevice, fstree.BlockDevice:
	case fstree.Symlink:
		if e.Link == "" || len(e.Link) > maxLink || strings.IndexByte(e.Link, 0) >= 0 {
			return fmt.Errorf("symlink target is empty, longer than %d bytes or has a NUL", maxLink)
		}
	case fstree.HardLink:
		if err := checkPath(e.Link); err != nil {
			return fmt.Errorf("hard link target: %w", err)
		}
	default:
		return fmt.Errorf("unknown type %d", e.Type)
	}
	if e.Path == "." && e.Type != fstree.Directory {
		return errors.New("the root is not a directory")
	}
	return checkXattrs(e.Xattrs)
}

func checkXattrs(list []fstree.Xattr) error {
	if len(list) > maxXattrs {
		return fmt.Errorf("%d xattrs; at most %d are supported", len(list), maxXattrs)
	}
	total := 0
	for i, x := range list {
		total += len(x.Name) + len(x.Value)
		switch {
		case x.Name == "" || len(x.Name) > maxName || strings.IndexByte(x.Name, 0) >= 0:
			return fmt.Errorf("xattr name %.100q is empty, longer than %d bytes or has a NUL", x.Name, maxName)
		case len(x.Value) > maxString:
			return fmt.Errorf("xattr %.100q has %d bytes; Linux allows %d", x.Name, len(x.Value), maxString)
		case i > 0 && x.Name <= list[i-1].Name:
			return fmt.Errorf("xattr %.100q is out of order", x.Name)
		case total > maxXattrBytes:
			return fmt.Errorf("xattrs of more than %d bytes", maxXattrBytes)
		}
	}
	return nil
}

// Limits of Linux: PATH_MAX less the NUL for a symlink's target, NAME_MAX.
const (
	maxLink = 4095
	maxName = 255
)

// checkPath tells whether p is a cleaned relative path; "." is the root.
func checkPath(p string) error {
	if p == "." {
		return nil
	}
	switch {
	case len(p) > maxString:
		return fmt.Errorf("path of %d bytes; at most %d are supported", len(p), maxString)
	case strings.IndexByte(p, 0) >= 0:
		return fmt.Errorf("path %.1000q has a NUL", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("path %.1000q is not clean", p)
		case len(strings.TrimPrefix(part, ".wh.")) > maxName: // a whiteout's prefix is not part of the hidden name
			return fmt.Errorf("path %.1000q has a name of %d bytes; Linux allows %d", p, len(part), maxName)
		}
	}
	return nil
}
