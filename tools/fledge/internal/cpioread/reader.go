// Package cpioread reads initramfs archives as the kernel unpacks them, whoever made them: newc archives one after the
// other, each compressed or not, with later ones changing what earlier ones made. Formats:
// Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c of the kernel sources.
package cpioread

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// Reader reads an initramfs. It keeps the tree in memory, some 300 bytes an entry, and no content. Its methods must not
// be called concurrently.
type Reader struct {
	r        io.ReaderAt
	size     int64
	root     *inode
	segments []artifact.Segment
	notes    []string
	inodes   []*inode // by number - 1
	digests  map[extent][sha256.Size]byte
	last     unpacking
}

// unpacking is a segment that is unpacked up to a byte.
type unpacking struct {
	segment int
	stream  *stream
	at      int64
}

var _ artifact.Artifact = (*Reader)(nil)

// Open reads all records of an initramfs of size bytes in r.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	t := newTree()
	s := &scanner{r: r, size: size, notes: t.notes, visit: func(rec *record, _ io.Reader) error {
		t.add(rec)
		return nil
	}}
	if err := s.scan(); err != nil {
		return nil, fmt.Errorf("cpio: %w", err)
	}
	if s.records == 0 {
		return nil, errors.New("cpio: there is no record in it")
	}
	x := &Reader{r: r, size: size, root: t.root, segments: s.segments, notes: t.notes.list}
	if more := t.notes.more; more > 0 {
		x.notes = append(x.notes, fmt.Sprintf("and %d more", more))
	}
	x.number(t.root)
	return x, nil
}

// number numbers all inodes in the order of the tree.
func (r *Reader) number(n *inode) {
	if n.number == 0 {
		r.inodes = append(r.inodes, n)
		n.number = uint32(len(r.inodes))
	}
	if n.typ != fstree.Directory {
		return
	}
	n.links = 2
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		child := n.children[name]
		r.number(child)
		if child.typ == fstree.Directory {
			n.links++
		}
	}
}

// Info tells the segments.
func (r *Reader) Info() *artifact.Info {
	return &artifact.Info{Kind: artifact.CPIO, Size: r.size, Segments: r.segments, Notes: r.notes}
}

// Walk gives the entry at path and what is below it.
func (r *Reader) Walk(path string) iter.Seq2[*artifact.Entry, error] {
	return func(yield func(*artifact.Entry, error) bool) {
		n := r.root
		if path != "." {
			for name := range strings.SplitSeq(path, "/") {
				if n = n.children[name]; n == nil {
					yield(nil, fmt.Errorf("cpio: %q: %w", path, artifact.ErrNotFound))
					return
				}
			}
		}
		r.walk(path, n, yield)
	}
}

func (r *Reader) walk(path string, n *inode, yield func(*artifact.Entry, error) bool) bool {
	if !yield(r.entry(path, n), nil) {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		if !r.walk(artifact.Join(path, name), n.children[name], yield) {
			return false
		}
	}
	return true
}

func (r *Reader) entry(path string, n *inode) *artifact.Entry {
	e := &artifact.Entry{
		Path: path, Type: n.typ, Mode: n.mode, UID: n.uid, GID: n.gid, ModTime: int64(n.mtime), Size: n.size,
		Target: n.target, Major: n.major, Minor: n.minor, Links: n.links, Inode: uint64(n.number), Segment: n.segment,
		Ref: uint64(n.number) - 1,
	}
	if n.typ == fstree.Regular && n.size > 0 {
		seg := r.segments[n.content.segment]
		e.Stored = int64(float64(n.size) * float64(seg.Size) / float64(seg.Unpacked))
	}
	return e
}

func (r *Reader) file(e *artifact.Entry) (*inode, error) {
	if e.Ref >= uint64(len(r.inodes)) || e.Type != fstree.Regular {
		return nil, fmt.Errorf("cpio: %q: not a regular file", e.Path)
	}
	return r.inodes[e.Ref], nil
}

// Open reads the content of a file. The reader holds until the next call. Of a compressed segment, all before the
// content is unpacked for it, unless the last call was for a file before it.
func (r *Reader) Open(e *artifact.Entry) (io.Reader, error) {
	n, err := r.file(e)
	if err != nil {
		return nil, err
	}
	if n.size == 0 {
		return strings.NewReader(""), nil
	}
	if r.segments[n.content.segment].Compressor == "none" {
		return io.NewSectionReader(r.r, n.content.at, n.size), nil
	}
	if err := r.unpackTo(n.content); err != nil {
		return nil, fmt.Errorf("cpio: %q: %w", e.Path, noEOF(err))
	}
	return &wholeReader{&io.LimitedReader{R: &r.last, N: n.size}}, nil
}

// unpackTo has the unpacking at a content.
func (r *Reader) unpackTo(to extent) error {
	if r.last.stream == nil || r.last.segment != to.segment || r.last.at > to.at {
		_, z, err := openStream(r.r, r.segments[to.segment].Offset, r.size)
		if err != nil {
			return err
		}
		if r.last.stream != nil && r.last.stream.close != nil {
			r.last.stream.close()
		}
		r.last = unpacking{segment: to.segment, stream: z}
	}
	_, err := io.CopyN(io.Discard, &r.last, to.at-r.last.at)
	return err
}

func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.stream.Read(p)
	u.at += int64(n)
	return n, err
}

// Digest is the SHA-256 of a file's content. The first call reads the contents of all files, once.
func (r *Reader) Digest(e *artifact.Entry) (sum [sha256.Size]byte, err error) {
	n, err := r.file(e)
	if err != nil {
		return sum, err
	}
	if n.size == 0 {
		return sha256.Sum256(nil), nil
	}
	if r.digests == nil {
		if err := r.read(); err != nil {
			return sum, err
		}
	}
	sum, ok := r.digests[n.content]
	if !ok {
		return sum, fmt.Errorf("cpio: %q: the file changed while it was read", e.Path)
	}
	return sum, nil
}

// Verify reads all contents and compares the checksums that there are: those of compressors and of the format 070702.
func (r *Reader) Verify() error { return r.read() }

// read reads the contents of all files.
func (r *Reader) read() error {
	digests := map[extent][sha256.Size]byte{}
	h := sha256.New()
	s := &scanner{r: r.r, size: r.size, notes: new(notes), visit: func(rec *record, content io.Reader) error {
		if content == nil || rec.Size == 0 {
			return nil
		}
		h.Reset()
		var sum checksum
		if _, err := io.Copy(io.MultiWriter(h, &sum), content); err != nil {
			return err
		}
		if rec.crc && uint32(sum) != rec.checksum {
			return fmt.Errorf("checksum %08x, the content has %08x", rec.checksum, uint32(sum))
		}
		digests[extent{rec.segment, rec.content}] = [sha256.Size]byte(h.Sum(nil))
		return nil
	}}
	if err := s.scan(); err != nil {
		return fmt.Errorf("cpio: %w", err)
	}
	r.digests = digests
	return nil
}

// checksum is the one of the format 070702: the sum of all bytes.
type checksum uint32

func (c *checksum) Write(p []byte) (int, error) {
	for _, b := range p {
		*c += checksum(b)
	}
	return len(p), nil
}
