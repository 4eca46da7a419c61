package erofspack

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"sync"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/packfile"
)

// Reader reads a pack. Its methods may be called concurrently. It keeps only small windows of the index in memory, however
// many entries the pack has.
type Reader struct {
	f    *os.File
	foot footer

	mu       sync.Mutex // guards the windows
	contents packfile.Window
	extents  packfile.Window
	data     packfile.Window // for tails
}

// Open opens the pack at path and verifies its index. The data is verified when it is read.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{f: f}
	err = kind.Check(f, func(head []byte, size int64) (index int64, err error) {
		r.foot, err = decodeFooter(head, size)
		return r.foot.dataEnd, err
	})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("layer pack %s: %w", path, err)
	}
	r.contents = packfile.Window{F: f, At: r.foot.contentsAt(), End: r.foot.extentsAt(), Size: 32 * recordSize}
	r.extents = packfile.Window{F: f, At: r.foot.extentsAt(), End: r.foot.end(), Size: 256 * extentSize}
	r.data = packfile.Window{F: f, End: r.foot.dataEnd, Size: 4 * BlockSize}
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

// Name is the path of the pack.
func (r *Reader) Name() string { return r.f.Name() }

// Codec is what the data is compressed with: lz4 or none.
func (r *Reader) Codec() codec.Spec { return r.foot.codec }

// Contents is the number of contents: those with a lower number exist.
func (r *Reader) Contents() int { return int(r.foot.contents) }

// Content reads the i-th content. Its parts have been checked against each other and the bounds of the pack.
func (r *Reader) Content(i uint32) (Content, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.contents.Read(int64(i)*recordSize, recordSize)
	if err != nil {
		return Content{}, fmt.Errorf("content %d: %w", i, err)
	}
	rec := decodeRecord(b)
	for k := range rec.extents {
		b, err := r.extents.Read((int64(rec.firstExtent)+int64(k))*extentSize, extentSize)
		if err != nil {
			return Content{}, fmt.Errorf("content %d: %w", i, err)
		}
		rec.Extents = append(rec.Extents, decodeExtent(b))
	}
	if err := r.check(&rec.Content); err != nil {
		return Content{}, fmt.Errorf("%w: content %d: %w", packfile.ErrDamaged, i, err)
	}
	return rec.Content, nil
}

// check tells whether a content can be what it says.
func (r *Reader) check(c *Content) error {
	end := uint64(r.foot.dataEnd)
	if c.Block > end/BlockSize || uint64(c.Blocks) > end/BlockSize-c.Block || c.Blocks > 0 && c.Block == 0 ||
		c.Tail > MaxTail || c.Tail > 0 && (c.tailAt < BlockSize || c.tailAt > end-uint64(c.Tail)) {
		return errors.New("lies outside of the data")
	}
	if c.Layout >= layouts || c.Size > maxSize {
		return errors.New("unknown layout")
	}
	if c.Layout == Flat {
		if c.Tail > 0 && uint64(c.Blocks)*BlockSize+uint64(c.Tail) != c.Size ||
			c.Tail == 0 && uint64(c.Blocks) != blocksOf(c.Size) {
			return errors.New("size and blocks do not agree")
		}
		return nil
	}
	var length, blocks uint64
	for i, e := range c.Extents {
		last := i == len(c.Extents)-1
		n, b, ok := e.measure(c, last)
		if !ok || !last && !e.leavesRoom(length) {
			return fmt.Errorf("extent %d is not possible", i)
		}
		length, blocks = length+n, blocks+b
	}
	if c.Layout == Chunked && c.Tail == 0 {
		chunk := ChunkBlocks(c.Size)
		total := length * chunk // in blocks; the last chunk may be short
		if size := blocksOf(c.Size); length != (size+chunk-1)/chunk {
			return errors.New("size and chunks do not agree")
		} else if n := len(c.Extents); n > 0 && c.Extents[n-1].Kind == Data {
			blocks -= total - size
		}
	} else if c.Layout == Chunked || length != c.Size {
		return errors.New("size and extents do not agree")
	}
	if n := len(c.Extents); blocks != uint64(c.Blocks) || c.Tail > 0 && (n == 0 || c.Extents[n-1].Blocks > 0) {
		return errors.New("blocks and extents do not agree")
	}
	return nil
}

// leavesRoom tells whether an extent that begins at a byte of the file ends in another 4 KiB than its last block begins
// in. For what follows an index of EROFS has no entry otherwise.
func (e Extent) leavesRoom(at uint64) bool {
	end := at + uint64(e.Length)
	return e.Kind != Plain || end/BlockSize > (at+uint64(e.Length-1)/BlockSize*BlockSize)/BlockSize
}

// measure gives the length of an extent of c, in chunks for a chunked one, else in bytes, and its blocks.
func (e Extent) measure(c *Content, last bool) (length, blocks uint64, ok bool) {
	length, blocks = uint64(e.Length), uint64(e.Blocks)
	if length == 0 {
		return 0, 0, false
	}
	tail := blocks == 0 && last && c.Tail > 0
	switch e.Kind {
	case Data:
		return length, length * ChunkBlocks(c.Size), c.Layout == Chunked && blocks == 0
	case Hole:
		return length, 0, c.Layout == Chunked && blocks == 0
	case Plain:
		ok = tail && length == uint64(c.Tail) || blocks > 0 && blocks == blocksOf(length)
	case Compressed:
		ok = length <= segmentSize && (tail || blocks > 0 && blocks <= MaxCluster && length > blocks*BlockSize)
	}
	return length, blocks, ok && c.Layout == LZ4
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

// errData says that data is not what was written.
var errData = errors.New("its data is damaged; pack the layer again")

// Copy writes the blocks of a content to w and verifies them. buf is used for it; it has at least a block.
func (r *Reader) Copy(w io.Writer, c *Content, buf []byte) error {
	sum := uint32(0)
	at := int64(c.Block) * BlockSize
	for left := int64(c.Blocks) * BlockSize; left > 0; {
		b := buf[:min(int64(len(buf)), left)]
		if _, err := r.f.ReadAt(b, at); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, b)
		if _, err := w.Write(b); err != nil {
			return err
		}
		at, left = at+int64(len(b)), left-int64(len(b))
	}
	if sum != c.crc {
		return fmt.Errorf("layer pack %s: %w", r.Name(), errData)
	}
	return nil
}

// AppendTail appends the tail of a content to b and verifies it.
func (r *Reader) AppendTail(b []byte, c *Content) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tail, err := r.data.Read(int64(c.tailAt), c.Tail)
	if err != nil {
		return b, err
	}
	if crc32.Checksum(tail, castagnoli) != c.tailCRC {
		return b, fmt.Errorf("layer pack %s: %w", r.Name(), errData)
	}
	return append(b, tail...), nil
}
