package layerpack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/packfile"
)

// Reader reads a pack. Its methods may be called concurrently. It keeps only the table of fragment blocks, the checks of
// the data (4 bytes for 64 KiB) and a small window of the index in memory, however many entries the pack has.
type Reader struct {
	f         *os.File
	foot      footer
	fragments []FragmentBlock
	checks    []uint32

	mu       sync.Mutex // guards the windows
	contents packfile.Window
	blocks   packfile.Window
}

// Open opens the pack at path and verifies its index. The data is verified when it is read (ReadAt).
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
	err := packKind.Check(f, func(head []byte, size int64) (index int64, err error) {
		r.foot, err = decodeFooter(head, size)
		return r.foot.dataEnd, err
	})
	if err != nil {
		return nil, err
	}
	r.contents = packfile.Window{F: f, At: r.foot.contentsAt(), End: r.foot.blocksAt()}
	r.blocks = packfile.Window{F: f, At: r.foot.blocksAt(), End: r.foot.fragmentsAt()}
	if err := r.readFragments(); err != nil {
		return nil, err
	}
	return r, r.readChecks()
}

func (r *Reader) readFragments() error {
	in := bufio.NewReader(io.NewSectionReader(r.f, r.foot.fragmentsAt(), r.foot.fragments*fragmentSize))
	var b [fragmentSize]byte
	for range r.foot.fragments {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return err
		}
		le := binary.LittleEndian
		fb := FragmentBlock{Offset: le.Uint64(b[:]), Size: le.Uint32(b[8:]), Length: le.Uint32(b[12:])}
		if err := r.checkBlock(fb.Offset, fb.Size, uint64(fb.Length)); err != nil || fb.Length == 0 || fb.Size == 0 {
			return fmt.Errorf("%w: fragment block %d: %v", packfile.ErrDamaged, len(r.fragments), err)
		}
		r.fragments = append(r.fragments, fb)
	}
	return nil
}

// checkBlock tells whether a block of length uncompressed bytes can lie at offset with the on-disk size s.
func (r *Reader) checkBlock(offset uint64, s uint32, length uint64) error {
	disk := uint64(DiskSize(s))
	end := uint64(r.foot.dataEnd)
	switch {
	case length > uint64(r.foot.blockSize) || disk > length || s&Uncompressed != 0 && disk != length:
		return fmt.Errorf("block of %d bytes for %d bytes", disk, length)
	case disk > 0 && (offset < packfile.MagicSize || offset > end || disk > end-offset):
		return fmt.Errorf("block of %d bytes at %d lies outside of the data", disk, offset)
	}
	return nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

// Codec is what the data is compressed with.
func (r *Reader) Codec() codec.Spec { return r.foot.codec }

// BlockSize is the most that a block holds, in bytes.
func (r *Reader) BlockSize() int { return r.foot.blockSize }

// Contents is the number of contents: those with a lower number exist.
func (r *Reader) Contents() int { return int(r.foot.contents) }

// Blocks is the number of blocks of all contents together, holes included. No two contents of what a Builder wrote share
// blocks.
func (r *Reader) Blocks() int64 { return r.foot.blocks }

// FragmentBlocks is the list of fragment blocks. It must not be changed.
func (r *Reader) FragmentBlocks() []FragmentBlock { return r.fragments }

// Name is the path of the pack.
func (r *Reader) Name() string { return r.f.Name() }

// File is the open pack.
func (r *Reader) File() *os.File { return r.f }

// Content reads the i-th content. Blocks has been checked against Size and the bounds of the pack.
func (r *Reader) Content(i uint32) (Content, error) {
	if int64(i) >= r.foot.contents {
		return Content{}, fmt.Errorf("layer pack has no content %d", i)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.contents.Read(int64(i)*recordSize, recordSize)
	if err != nil {
		return Content{}, err
	}
	c, err := r.content(decodeRecord(b))
	if err != nil {
		return Content{}, fmt.Errorf("%w: content %d: %w", packfile.ErrDamaged, i, err)
	}
	return c, nil
}

func (r *Reader) content(rec record) (Content, error) {
	c := Content{Digest: rec.digest, Size: rec.size, Fragment: NoFragment}
	bs := uint64(r.foot.blockSize)
	switch {
	case c.Size == 0:
		return c, nil
	case c.Size < bs:
		if rec.a >= uint64(len(r.fragments)) {
			return c, fmt.Errorf("no fragment block %d", rec.a)
		}
		length := uint64(r.fragments[rec.a].Length)
		if rec.b > length || c.Size > length-rec.b {
			return c, errors.New("lies outside of its fragment block")
		}
		c.Fragment, c.FragmentOffset = uint32(rec.a), uint32(rec.b)
		return c, nil
	case (c.Size-1)/bs >= maxBlocks || rec.b > uint64(r.foot.blocks) || (c.Size-1)/bs+1 > uint64(r.foot.blocks)-rec.b:
		return c, errors.New("more blocks than the pack has")
	}
	c.Offset = rec.a
	c.Blocks = make([]uint32, (c.Size-1)/bs+1)
	at := c.Offset
	for i := range c.Blocks {
		b, err := r.blocks.Read(int64(rec.b+uint64(i))*4, 4)
		if err != nil {
			return c, err
		}
		c.Blocks[i] = binary.LittleEndian.Uint32(b)
		if err := r.checkBlock(at, c.Blocks[i], min(bs, c.Size-uint64(i)*bs)); err != nil {
			return c, err
		}
		at += uint64(DiskSize(c.Blocks[i]))
	}
	return c, nil
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
