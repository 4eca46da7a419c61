package layerpack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/packfile"
)

// Options tell how a pack is made.
type Options struct {
	Codec     codec.Spec
	BlockSize int // uncompressed bytes of a block (codec.CheckBlockSize)
	Jobs      int // blocks compressed at once (codec.Spec.Jobs); 0 is one a core. It does not change the pack.
}

// Stats tell what a pack holds.
type Stats struct {
	Entries    int64 // entries of all types
	Files      int64 // of these, regular files
	Contents   int64 // different contents
	Unpacked   int64 // bytes of all regular files
	Duplicates int64 // of these, bytes of files whose content was there already
	Data       int64 // bytes of compressed blocks
	Size       int64 // bytes of the pack
}

// Builder writes a pack. Its memory does not depend on the size of the files: it holds a few blocks an encoder, and for
// the index about 70 bytes a content, 30 an entry and 4 a block.
type Builder struct {
	f     *os.File
	o     Options
	pipe  *pipeline
	small []byte // a file below the block size

	frag      *block // the fragment block that is being filled, or nil
	fragments uint64 // its number

	contents contentTable
	entries  entries.Writer
	stats    Stats
	err      error // the first error; it sticks
}

// NewBuilder begins a pack in f, which is empty and can be written at any place. Close must be called whatever happens.
func NewBuilder(f *os.File, o Options) (*Builder, error) {
	if err := codec.CheckBlockSize(o.BlockSize); err != nil {
		return nil, err
	}
	if _, err := f.WriteAt([]byte(packKind.Magic), 0); err != nil {
		return nil, err
	}
	pipe, err := newPipeline(f, packfile.MagicSize, o.Codec, o.BlockSize, o.Codec.Jobs(o.BlockSize, o.Jobs))
	if err != nil {
		return nil, err
	}
	return &Builder{f: f, o: o, pipe: pipe, small: make([]byte, o.BlockSize)}, nil
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
	if b.stats.Entries == math.MaxUint32 {
		return fmt.Errorf("more than %d entries", b.stats.Entries)
	}
	if e.Type == fstree.Regular {
		known := b.contents.records.n
		n, err := b.addContent(data, size)
		if err != nil {
			return err
		}
		e.Content = n
		b.stats.Files++
		b.stats.Unpacked += size
		if int(n) < known {
			b.stats.Duplicates += size
		}
	}
	b.stats.Entries++
	b.entries.Add(e)
	return b.pipe.err()
}

// addContent stores the data unless it is there, and returns its number.
func (b *Builder) addContent(data io.Reader, size int64) (uint32, error) {
	if size < 0 || size/int64(b.o.BlockSize) >= maxBlocks {
		return 0, fmt.Errorf("file of %d bytes has more than %d blocks of %d bytes; use a larger block size",
			size, maxBlocks, b.o.BlockSize)
	}
	if size >= int64(b.o.BlockSize) {
		return b.addLarge(data, size)
	}
	small := b.small[:size]
	if err := readFull(data, small); err != nil {
		return 0, err
	}
	rec := record{digest: sha256.Sum256(small), size: uint64(size)}
	if n, ok := b.contents.find(rec.digest); ok {
		return n, nil
	}
	if size > 0 {
		rec.a, rec.b = b.addFragment(small)
	}
	return b.contents.add(rec), nil
}

// addFragment puts a small file into a fragment block and returns the block's number and the offset in it.
func (b *Builder) addFragment(small []byte) (number, offset uint64) {
	if b.frag != nil && len(b.frag.src)+len(small) > b.o.BlockSize {
		b.pipe.submit(b.frag, fragmentTask)
		b.frag = nil
		b.fragments++
	}
	if b.frag == nil {
		b.frag = b.pipe.take(b.o.BlockSize)
	}
	offset = uint64(len(b.frag.src))
	b.frag.src = append(b.frag.src, small...)
	return b.fragments, offset
}

// addLarge compresses a file of a block and more while it is being hashed. When the hash turns out to be known, the
// blocks are taken back.
func (b *Builder) addLarge(data io.Reader, size int64) (uint32, error) {
	h := sha256.New()
	for left := size; left > 0 && b.pipe.err() == nil; {
		blk := b.pipe.take(b.o.BlockSize)
		blk.src = blk.src[:min(left, int64(b.o.BlockSize))]
		if err := readFull(data, blk.src); err != nil {
			b.pipe.give(blk)
			return 0, err
		}
		h.Write(blk.src)
		left -= int64(len(blk.src))
		if isZero(blk.src) {
			b.pipe.give(blk)
			b.pipe.order <- task{kind: holeTask}
		} else {
			b.pipe.submit(blk, blockTask)
		}
	}
	rec := record{size: uint64(size)}
	h.Sum(rec.digest[:0])
	if n, ok := b.contents.find(rec.digest); ok {
		b.pipe.order <- task{kind: dropTask}
		return n, nil
	}
	n := b.contents.add(rec)
	b.pipe.order <- task{kind: keepTask, record: b.contents.records.at(int(n))}
	return n, nil
}

// readFull fills p; data that ends before is an error.
func readFull(data io.Reader, p []byte) error {
	_, err := io.ReadFull(data, p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// isZero tells whether p, which is not empty, is all zeros.
func isZero(p []byte) bool {
	return p[0] == 0 && bytes.Equal(p[:len(p)-1], p[1:])
}

// Close ends the pack. When it or an Add before it failed, it returns the first error and the file is not a pack.
func (b *Builder) Close() (Stats, error) {
	if b.frag != nil && b.err == nil {
		b.pipe.submit(b.frag, fragmentTask)
	}
	err := b.pipe.end()
	if b.err == nil {
		b.err = err
	}
	if b.err == nil {
		b.err = b.writeIndex()
	}
	return b.stats, b.err
}

// writeIndex writes the index after the data and cuts off what a dropped file left behind it.
func (b *Builder) writeIndex() error {
	foot := footer{
		codec:     b.o.Codec,
		blockSize: b.o.BlockSize,
		dataEnd:   b.pipe.pos,
		entries:   b.stats.Entries,
		contents:  int64(b.contents.records.n),
		fragments: int64(b.pipe.fragments.n),
		blocks:    int64(b.pipe.sizes.n),

		entryBytes: b.entries.Size(),
	}
	if err := packKind.WriteIndex(b.f, b.pipe.pos, foot.encode(), b.writeSections); err != nil {
		return err
	}
	b.stats.Contents = foot.contents
	b.stats.Data = foot.dataEnd - packfile.MagicSize
	b.stats.Size = foot.end() + packKind.FooterSize()
	return b.f.Truncate(b.stats.Size)
}

// writeSections writes the sections of the index. Errors stick to w.
func (b *Builder) writeSections(w io.Writer) {
	io.Copy(w, b.entries.Reader())
	var buf []byte
	for r := range b.contents.records.all {
		buf = r.append(buf[:0])
		w.Write(buf)
	}
	for size := range b.pipe.sizes.all {
		buf = binary.LittleEndian.AppendUint32(buf[:0], size)
		w.Write(buf)
	}
	for fb := range b.pipe.fragments.all {
		buf = binary.LittleEndian.AppendUint64(buf[:0], fb.Offset)
		buf = binary.LittleEndian.AppendUint32(buf, fb.Size)
		buf = binary.LittleEndian.AppendUint32(buf, fb.Length)
		w.Write(buf)
	}
	for sum := range b.pipe.checks.all {
		buf = binary.LittleEndian.AppendUint32(buf[:0], sum)
		w.Write(buf)
	}
}
