package erofspack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
)

// Options tell how a pack is made.
type Options struct {
	Codec codec.Spec // lz4 or none
	Jobs  int        // segments compressed at once, at most 8; 0 is one a core. It does not change the pack.
}

// maxJobs bounds the memory that segments take.
const maxJobs = 8

// Builder writes a pack. Its memory does not depend on the size of the files: it holds a few segments of 4 MiB, and for the
// index about 200 bytes a content and 30 an entry.
type Builder struct {
	f       *os.File
	o       Options
	pipe    *pipeline
	known   map[[sha256.Size]byte]uint32 // contents by their digest
	records []*record
	list    entries.Writer
	entries int64
	err     error // the first error; it sticks
}

// NewBuilder begins a pack in f, which is empty and can be written at any place. Close must be called whatever happens.
func NewBuilder(f *os.File, o Options) (*Builder, error) {
	if err := CheckCodec(o.Codec); err != nil {
		return nil, err
	}
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	o.Jobs = min(o.Jobs, maxJobs)
	first := make([]byte, BlockSize)
	copy(first, kind.Magic)
	if _, err := f.WriteAt(first, 0); err != nil {
		return nil, err
	}
	return &Builder{f: f, o: o, pipe: newPipeline(f, o), known: map[[sha256.Size]byte]uint32{}}, nil
}

// Add adds an entry. data holds the size bytes of a regular file and is nil for other types; e.Content is ignored.
func (b *Builder) Add(e fstree.Entry, data io.Reader, size int64) error {
	if b.err == nil {
		b.err = b.add(e, data, size)
	}
	return b.err
}

func (b *Builder) add(e fstree.Entry, data io.Reader, size int64) error {
	if err := entries.Check(e); err != nil {
		return err
	}
	if b.entries == math.MaxUint32 {
		return fmt.Errorf("more than %d entries", b.entries)
	}
	if e.Type == fstree.Regular {
		n, err := b.addContent(data, size)
		if err != nil {
			return err
		}
		e.Content = n
	}
	b.entries++
	b.list.Add(e)
	return b.pipe.err()
}

// maxSize is the most that a content may have: its blocks and extents are counted with 32 bits.
const maxSize = 1 << 42

// addContent stores the data unless it is there, and returns its number.
func (b *Builder) addContent(data io.Reader, size int64) (uint32, error) {
	if size < 0 || size > maxSize {
		return 0, fmt.Errorf("file of %d bytes; an erofs image holds files of up to %d", size, int64(maxSize))
	}
	chunk := int(ChunkBlocks(uint64(size))) * BlockSize
	h := sha256.New()
	rec := &record{Content: Content{Size: uint64(size)}}
	for left := size; left > 0 && b.pipe.err() == nil; {
		s := b.pipe.take(int(min(left, segmentSize)))
		if _, err := io.ReadFull(data, s.src); err != nil {
			b.pipe.free <- s
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		h.Write(s.src)
		left -= int64(len(s.src))
		s.chunk, s.last = chunk, left == 0
		if size <= segmentSize { // whether it is new shows before any of it is compressed
			h.Sum(rec.Digest[:0])
			if n, ok := b.known[rec.Digest]; ok {
				b.pipe.free <- s
				return n, nil
			}
		}
		b.pipe.submit(s)
	}
	h.Sum(rec.Digest[:0])
	if n, ok := b.known[rec.Digest]; ok {
		b.pipe.order <- task{kind: dropTask}
		return n, nil
	}
	n := uint32(len(b.records))
	b.known[rec.Digest] = n
	b.records = append(b.records, rec)
	b.pipe.order <- task{kind: keepTask, record: rec}
	return n, nil
}

// Entries is the number of entries so far.
func (b *Builder) Entries() int64 { return b.entries }

// Close ends the pack. When it or an Add before it failed, it returns the first error and the file is not a pack.
func (b *Builder) Close() error {
	err := b.pipe.end()
	if b.err == nil {
		b.err = err
	}
	if b.err == nil {
		b.err = b.writeIndex()
	}
	return b.err
}

// writeIndex writes the index after the data and cuts off what a dropped file left behind it.
func (b *Builder) writeIndex() error {
	foot := footer{
		codec: b.o.Codec, dataEnd: int64(b.pipe.pos) * BlockSize, entryBytes: b.list.Size(), entries: b.entries,
		contents: int64(len(b.records)), extents: int64(len(b.pipe.extents)),
	}
	if foot.extents > math.MaxUint32 {
		return fmt.Errorf("more than %d extents of compressed data", uint32(math.MaxUint32))
	}
	if err := kind.WriteIndex(b.f, foot.dataEnd, foot.encode(), b.writeSections); err != nil {
		return err
	}
	return b.f.Truncate(foot.end() + kind.FooterSize())
}

// writeSections writes the sections of the index. Errors stick to w.
func (b *Builder) writeSections(w io.Writer) {
	io.Copy(w, b.list.Reader())
	var buf []byte
	for _, r := range b.records {
		buf = r.append(buf[:0])
		w.Write(buf)
	}
	for _, e := range b.pipe.extents {
		buf = e.append(buf[:0])
		w.Write(buf)
	}
}
