package cpiopack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"sync"

	reader "github.com/cavaliergopher/cpio"

	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/fstree"
)

// MaxFileSize is the largest file that cpio's newc format holds, in bytes.
const MaxFileSize = math.MaxUint32

// file is a regular file on its way into a segment.
type file struct {
	content  uint32
	names    []string // sorted; more than one are hard links of each other
	mode     uint16
	uid, gid uint32
	modTime  uint32
	size     int64
}

// SetInode gives an entry the number that makes its names one inode. Segments are parts of one archive, so the numbers of
// hard links derive from their names, sorted; nobody compares those of entries with a single name.
func SetInode(h *cpio.Header, names []string) {
	h.Links, h.Inode = uint32(len(names)), 1
	if len(names) < 2 {
		return
	}
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	h.Inode = binary.LittleEndian.Uint32(sum[:])
	// Readers make a device number of these, for which Linux has 12 and 20 bits.
	h.DevMajor = binary.LittleEndian.Uint32(sum[4:]) >> 20
	h.DevMinor = binary.LittleEndian.Uint32(sum[8:]) >> 12
}

// write adds f to an archive. The data goes with the first name.
func (f *file) write(w *cpio.Writer, data io.Reader) error {
	h := cpio.Header{Mode: cpio.TypeRegular | uint32(f.mode), UID: f.uid, GID: f.gid, ModTime: f.modTime, Size: f.size}
	SetInode(&h, f.names)
	for i, name := range f.names {
		if h.Name = name; i > 0 {
			h.Size = 0
		}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		switch n, err := io.CopyN(w, data, f.size); {
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case n != f.size:
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// ClampTime is the nearest time to t, in seconds since 1970, that newc can hold.
func ClampTime(t int64) (clamped uint32, exact bool) {
	clamped = uint32(max(0, min(t, math.MaxUint32)))
	return clamped, int64(clamped) == t
}

// gathered is a segment in memory.
type gathered struct {
	first, count uint32 // as in Segment
	files        []file
	data         []byte
	size         int // bytes of the archive, about
	packed       *bytes.Buffer
}

// spare are buffers of segments that are done. Garbage of their size would double what a tool takes.
type spare struct{ data, packed buffers }

// buffers is a list of empty buffers. It is safe for concurrent use.
type buffers struct {
	mu   sync.Mutex
	list [][]byte
}

// get takes a buffer, a new one of n bytes where there is none.
func (b *buffers) get(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.list) - 1
	if last < 0 {
		return make([]byte, 0, n)
	}
	buf := b.list[last]
	b.list = b.list[:last]
	return buf
}

func (b *buffers) put(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, buf[:0])
}

// perFile is about what a file takes in an archive besides its data, in bytes.
const perFile = 192

// add notes a file whose data was appended.
func (g *gathered) add(f file) {
	g.files = append(g.files, f)
	g.size += int(f.size) + perFile
}

func newFile(e fstree.Entry, size int64) file {
	modTime, _ := ClampTime(e.ModTime)
	return file{
		content: e.Content, names: []string{e.Path},
		mode: e.Mode, uid: e.UID, gid: e.GID, modTime: modTime, size: size,
	}
}

func hashNames(files []file) [sha256.Size]byte {
	var h NamesHash
	for i := range files {
		h.Add(files[i].names)
	}
	return h.Sum()
}

// write writes the part of the archive.
func (g *gathered) write(w io.Writer) error {
	archive := cpio.NewWriter(w)
	data := bytes.NewReader(g.data)
	for i := range g.files {
		if err := g.files[i].write(archive, data); err != nil {
			return err
		}
	}
	return archive.Flush()
}

// rename writes the part of an archive in from anew to w: its i-th file with data gets the names that names gives for i, sorted;
// one without names is left out.
func rename(w io.Writer, from io.Reader, names func(i int) []string) error {
	in := reader.NewReader(from)
	out := cpio.NewWriter(w)
	for i := 0; ; {
		h, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return out.Flush()
		case err != nil:
			return err
		case h.Size == 0: // a further name
			continue
		}
		f := file{
			names: names(i), mode: uint16(h.Mode) & 0o7777, uid: uint32(h.Uid), gid: uint32(h.Guid),
			modTime: uint32(h.ModTime.Unix()), size: h.Size,
		}
		i++
		if len(f.names) == 0 {
			continue
		}
		if err := f.write(out, in); err != nil {
			return err
		}
	}
}
