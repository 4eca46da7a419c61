package cpiopack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/elfinfo"
	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/packfile"
)

// Reader reads a pack. Its methods may be called concurrently. It keeps 12 bytes a file and 68 a segment in memory.
type Reader struct {
	f        *os.File
	foot     footer
	contents []Content
	segments []Segment
	programs []byte
}

// Open opens the pack at path and verifies its index. The data is verified when it is read.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("layer pack %s: %w", path, err)
	}
	return r, nil
}

func newReader(f *os.File) (*Reader, error) {
	r := &Reader{f: f}
	err := kind.Check(f, func(head []byte, size int64) (index int64, err error) {
		r.foot, err = decodeFooter(head, size)
		return r.foot.dataEnd, err
	})
	if err != nil {
		return nil, err
	}
	return r, r.readIndex()
}

// readIndex reads all of the index but the entries, and checks that its parts agree.
func (r *Reader) readIndex() error {
	b := make([]byte, r.foot.end()-r.foot.contentsAt())
	if _, err := r.f.ReadAt(b, r.foot.contentsAt()); err != nil {
		return err
	}
	r.contents = make([]Content, r.foot.contents)
	for i := range r.contents {
		r.contents[i] = decodeContent(b[i*contentSize:])
		c := r.contents[i]
		if c.Segment != NoSegment && int64(c.Segment) >= r.foot.segments || (c.Segment == NoSegment) != (c.Size == 0) ||
			int64(c.program) > r.foot.programs {
			return fmt.Errorf("%w: content %d", packfile.ErrDamaged, i)
		}
	}
	b = b[len(r.contents)*contentSize:]
	r.segments = make([]Segment, r.foot.segments)
	for i := range r.segments {
		s := decodeSegment(b[i*segmentRecord:])
		end := uint64(r.foot.dataEnd)
		if s.Offset < packfile.MagicSize || s.Offset > end || s.Size > end-s.Offset ||
			int64(s.First)+int64(s.Count) > r.foot.contents {
			return fmt.Errorf("%w: segment %d", packfile.ErrDamaged, i)
		}
		r.segments[i] = s
	}
	r.programs = b[len(r.segments)*segmentRecord:]
	return nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

// Name is the path of the pack.
func (r *Reader) Name() string { return r.f.Name() }

// Codec is what the segments are compressed with.
func (r *Reader) Codec() codec.Spec { return r.foot.codec }

// Contents are the contents, by number. The slice must not be changed.
func (r *Reader) Contents() []Content { return r.contents }

// Segments are the segments, by number. The slice must not be changed.
func (r *Reader) Segments() []Segment { return r.segments }

// Program describes the ELF file that is content n; ok is false when it is none.
func (r *Reader) Program(n uint32) (info elfinfo.Info, ok bool, err error) {
	at := r.contents[n].program
	if at == 0 {
		return elfinfo.Info{}, false, nil
	}
	info, err = elfinfo.Parse(r.programs[at-1:])
	if err != nil {
		err = fmt.Errorf("layer pack %s: %w: content %d: %w", r.Name(), packfile.ErrDamaged, n, err)
	}
	return info, err == nil, err
}

// Entries are the entries in layer order. It ends with the first error.
func (r *Reader) Entries() iter.Seq2[fstree.Entry, error] {
	return func(yield func(fstree.Entry, error) bool) {
		section := io.NewSectionReader(r.f, r.foot.dataEnd, r.foot.entryBytes)
		for e, err := range entries.Read(section, r.foot.entries, r.foot.contents) {
			if err != nil {
				err = fmt.Errorf("%w: %w", packfile.ErrDamaged, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Copy writes the compressed bytes of segment i to w and verifies them.
func (r *Reader) Copy(w io.Writer, i uint32) error {
	s := r.segments[i]
	sum := &counter{}
	_, err := io.Copy(io.MultiWriter(w, sum), io.NewSectionReader(r.f, int64(s.Offset), int64(s.Size)))
	if err == nil && (uint64(sum.n) != s.Size || sum.crc != s.crc) {
		err = fmt.Errorf("layer pack %s: segment %d is damaged; pack the layer again", r.Name(), i)
	}
	return err
}

// Rename writes segment i to w, uncompressed, with other names: those that names has for each content, sorted bytewise.
// Contents without names are left out.
func (r *Reader) Rename(w io.Writer, i uint32, names map[uint32][]string) error {
	s := r.segments[i]
	sum := &counter{}
	packed := io.TeeReader(io.NewSectionReader(r.f, int64(s.Offset), int64(s.Size)), sum)
	in, err := decompress(r.foot.codec, packed)
	if err != nil {
		return r.damaged(i, err)
	}
	defer in.Close()
	files := r.files(s)
	err = rename(w, io.LimitReader(in, int64(min(s.Unpacked, math.MaxInt64))), func(k int) []string {
		if k >= len(files) {
			return nil
		}
		return names[files[k]]
	})
	if err == nil {
		_, err = io.Copy(io.Discard, packed)
	}
	if err == nil && sum.crc != s.crc {
		err = errors.New("wrong checksum")
	}
	if err != nil {
		return r.damaged(i, err)
	}
	return nil
}

func (r *Reader) damaged(i uint32, err error) error {
	return fmt.Errorf("layer pack %s: segment %d: %w", r.Name(), i, err)
}

// files lists the contents in a segment, in the order of its archive.
func (r *Reader) files(s Segment) []uint32 {
	var list []uint32
	for n := s.First; n < s.First+s.Count; n++ {
		if r.contents[n].Size > 0 {
			list = append(list, n)
		}
	}
	return list
}

// hashNames is the Names of a segment whose contents have the given names.
func (r *Reader) hashNames(s Segment, names map[uint32][]string) [sha256.Size]byte {
	var h NamesHash
	for _, n := range r.files(s) {
		h.Add(names[n])
	}
	return h.Sum()
}
