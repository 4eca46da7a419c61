package cpiopack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/deflate"
	"github.com/fledge-build/fledge/internal/elfinfo"
	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/packfile"
)

// Options tell how a pack is made.
type Options struct {
	Codec codec.Spec
	Jobs  int // segments compressed at once; 0 is one a core. It does not change the pack.
}

// Builder writes a pack. Its memory does not depend on the size of the files: it holds a few segments for each encoder,
// and for the index about 60 bytes a file and 30 an entry.
type Builder struct {
	f     *os.File
	o     Options
	size  int // of a segment
	queue *Queue
	pos   int64 // where the next segment goes; the queue's until it is drained

	cur      *gathered
	spare    spare
	entries  entries.Writer
	count    int64
	contents []Content
	segments []Segment // the queue's until it is drained
	programs []byte
	links    links
	err      error // the first error; it sticks
}

// NewBuilder begins a pack in f, which is empty and can be read and written at any place. Close must be called whatever
// happens.
func NewBuilder(f *os.File, o Options) (*Builder, error) {
	if _, err := f.WriteAt([]byte(kind.Magic), 0); err != nil {
		return nil, err
	}
	return &Builder{
		f: f, o: o, size: segmentSize(o.Codec), queue: NewQueue(NewEncoders(o.Codec, o.Jobs)), pos: packfile.MagicSize,
		cur: &gathered{}, links: newLinks(),
	}, nil
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
	if b.count == math.MaxUint32 {
		return fmt.Errorf("more than %d entries", b.count)
	}
	switch e.Type {
	case fstree.Regular:
		e.Content = uint32(len(b.contents))
		if err := b.addFile(e, data, size); err != nil {
			return err
		}
	case fstree.HardLink:
		b.links.add(e.Path, e.Link)
	}
	b.count++
	b.entries.Add(e)
	return b.queue.Err()
}

func (b *Builder) addFile(e fstree.Entry, data io.Reader, size int64) error {
	if size > MaxFileSize {
		return fmt.Errorf("a file of %d bytes: cpio's newc format, which the kernel unpacks, holds at most %d "+
			"(4 GiB - 1); leave it out or boot a squashfs image", size, MaxFileSize)
	}
	b.links.file(e.Path, e.Content)
	c := Content{Segment: NoSegment, Size: uint32(size)}
	if size > int64(b.size) {
		return b.addLarge(e, c, data, size)
	}
	if b.cur.size+int(size)+perFile > b.size {
		b.flush()
	}
	if b.cur.data == nil {
		b.cur.data = b.spare.data.get(b.size)
	}
	old := len(b.cur.data)
	content := b.cur.data[old : old+int(size)]
	if _, err := io.ReadFull(data, content); err != nil {
		return unexpected(err)
	}
	b.describe(&c, content, true)
	b.contents = append(b.contents, c)
	if size > 0 {
		b.cur.data = b.cur.data[:old+int(size)]
		b.cur.add(newFile(e, size))
	}
	b.cur.count++
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// describe looks whether a file is a program.
func (b *Builder) describe(c *Content, head []byte, whole bool) {
	if info, ok := elfinfo.Read(head, whole); ok && len(b.programs) < math.MaxUint32/2 {
		c.program = uint32(len(b.programs)) + 1
		b.programs = info.Append(b.programs)
	}
}

// flush hands the current segment to the queue.
func (b *Builder) flush() {
	g := b.cur
	b.cur = &gathered{first: g.first + g.count}
	if len(g.files) == 0 {
		b.cur.first, b.cur.count = g.first, g.count
		return
	}
	for i := range g.files {
		b.links.resolve(&g.files[i])
	}
	seg := Segment{First: g.first, Count: g.count, Names: hashNames(g.files)}
	b.queue.Add(Job{
		Run: func(e *Encoder) error {
			unpacked := &counter{}
			g.packed = bytes.NewBuffer(b.spare.packed.get(b.size + b.size>>6)) // noise grows a little
			err := e.Compress(g.packed, func(w io.Writer) error { return g.write(io.MultiWriter(unpacked, w)) })
			seg.Unpacked = uint64(unpacked.n)
			b.spare.data.put(g.data)
			return err
		},
		Done: func() error {
			out := g.packed.Bytes()
			seg.Offset, seg.Size, seg.crc = uint64(b.pos), uint64(len(out)), crc32.Checksum(out, castagnoli)
			b.segments = append(b.segments, seg)
			_, err := b.f.WriteAt(out, b.pos)
			b.pos += int64(len(out))
			b.spare.packed.put(out)
			return err
		},
	})
}

// counter counts what is written to it, and sums it up.
type counter struct {
	n   int64
	crc uint32
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	c.crc = crc32.Update(c.crc, castagnoli, p)
	return len(p), nil
}

// addLarge streams a file into a segment of its own, so that it takes no memory.
func (b *Builder) addLarge(e fstree.Entry, c Content, data io.Reader, size int64) error {
	b.flush()
	head := b.spare.data.get(b.size)[:b.size]
	defer b.spare.data.put(head)
	if _, err := io.ReadFull(data, head); err != nil {
		return unexpected(err)
	}
	b.describe(&c, head, false)
	b.contents = append(b.contents, c)
	f := newFile(e, size)
	b.links.resolve(&f)
	seg := Segment{First: b.cur.first, Count: b.cur.count + 1, Names: hashNames([]file{f})}
	b.cur = &gathered{first: seg.First + seg.Count}
	write := func(w io.Writer) error {
		archive := cpio.NewWriter(w)
		if err := f.write(archive, io.MultiReader(bytes.NewReader(head), data)); err != nil {
			return err
		}
		return archive.Flush()
	}
	if b.o.Codec.Name == "gzip" {
		return b.appendChunks(seg, write)
	}
	return b.appendSegment(seg, write)
}

// appendChunks has the queue compress a gzip segment, several chunks at once.
func (b *Builder) appendChunks(seg Segment, write func(io.Writer) error) error {
	packed, unpacked := &counter{}, &counter{}
	chunks := deflate.NewChunkWriter(func(c deflate.Chunk) error {
		var out []byte
		b.queue.Add(Job{
			Run: func(e *Encoder) error {
				z, err := e.deflate()
				if err == nil {
					out = c.AppendGzip(z, nil)
				}
				return err
			},
			Done: func() error {
				if c.First {
					seg.Offset = uint64(b.pos)
				}
				packed.Write(out)
				if c.Last {
					seg.Size, seg.Unpacked, seg.crc = uint64(packed.n), uint64(unpacked.n), packed.crc
					b.segments = append(b.segments, seg)
				}
				_, err := b.f.WriteAt(out, b.pos)
				b.pos += int64(len(out))
				return err
			},
		})
		return b.queue.Err()
	})
	if err := write(io.MultiWriter(chunks, unpacked)); err != nil {
		return err
	}
	return chunks.Close()
}

// appendSegment compresses a segment straight into the pack, and waits until it is there.
func (b *Builder) appendSegment(seg Segment, write func(io.Writer) error) error {
	b.queue.Add(Job{InTurn: true, Run: func(e *Encoder) error {
		packed, unpacked := &counter{}, &counter{}
		out := bufio.NewWriterSize(io.NewOffsetWriter(b.f, b.pos), 256<<10)
		err := e.Compress(io.MultiWriter(out, packed), func(w io.Writer) error {
			return write(io.MultiWriter(w, unpacked))
		})
		if err != nil {
			return err
		}
		seg.Offset, seg.Size, seg.Unpacked, seg.crc = uint64(b.pos), uint64(packed.n), uint64(unpacked.n), packed.crc
		b.pos += packed.n
		b.segments = append(b.segments, seg)
		return out.Flush()
	}})
	return b.queue.Drain()
}

// Entries is the number of entries so far.
func (b *Builder) Entries() int64 { return b.count }

// Close ends the pack. When it or an Add before it failed, it returns the first error and the file is not a pack.
func (b *Builder) Close() error {
	if b.err == nil {
		b.flush()
		b.err = b.queue.Drain()
	}
	if b.err == nil {
		b.err = b.addLateLinks()
	}
	if err := b.queue.Close(); b.err == nil {
		b.err = err
	}
	if b.err == nil {
		b.err = b.writeIndex()
	}
	return b.err
}

// numberSegments tells the contents where they are.
func (b *Builder) numberSegments() {
	for i, seg := range b.segments {
		for n := seg.First; n < seg.First+seg.Count; n++ {
			if b.contents[n].Size > 0 {
				b.contents[n].Segment = uint32(i)
			}
		}
	}
}

// addLateLinks writes the segments anew whose files got a further name when they were compressed already. The old ones
// stay behind as gaps.
func (b *Builder) addLateLinks() error {
	b.numberSegments()
	if len(b.links.late) == 0 {
		return nil
	}
	names := map[uint32]map[uint32][]string{} // by segment and content
	for n := range b.links.late {
		if i := b.contents[n].Segment; i != NoSegment {
			names[i] = map[uint32][]string{}
		}
	}
	add := func(n uint32, name string) {
		if list, ok := names[b.contents[n].Segment]; ok {
			list[n] = append(list[n], name)
		}
	}
	for e, err := range entries.Read(b.entries.Reader(), b.count, int64(len(b.contents))) {
		if err != nil {
			return err
		}
		if e.Type == fstree.Regular {
			add(e.Content, e.Path)
		} else if n, ok := b.links.contents[hashPath(e.Path)]; ok && e.Type == fstree.HardLink {
			add(n, e.Path)
		}
	}
	src := &Reader{f: b.f, foot: footer{codec: b.o.Codec}, contents: b.contents, segments: b.segments}
	for _, i := range slices.Sorted(maps.Keys(names)) {
		for _, list := range names[i] {
			slices.Sort(list)
		}
		old := b.segments[i]
		seg := Segment{First: old.First, Count: old.Count, Names: src.hashNames(old, names[i])}
		err := b.appendSegment(seg, func(w io.Writer) error { return src.Rename(w, i, names[i]) })
		if err != nil {
			return err
		}
		last := len(b.segments) - 1
		b.segments[i], b.segments = b.segments[last], b.segments[:last]
	}
	return nil
}

// writeIndex writes the index after the data.
func (b *Builder) writeIndex() error {
	foot := footer{
		codec: b.o.Codec, dataEnd: b.pos, entryBytes: b.entries.Size(), entries: b.count,
		contents: int64(len(b.contents)), segments: int64(len(b.segments)), programs: int64(len(b.programs)),
	}
	return kind.WriteIndex(b.f, b.pos, foot.encode(), func(w io.Writer) {
		io.Copy(w, b.entries.Reader())
		var buf []byte
		for _, c := range b.contents {
			buf = c.append(buf[:0])
			w.Write(buf)
		}
		for _, s := range b.segments {
			buf = s.append(buf[:0])
			w.Write(buf)
		}
		w.Write(b.programs)
	})
}
