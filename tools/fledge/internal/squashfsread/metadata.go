package squashfsread

import (
	"errors"
	"fmt"
	"io"
)

// storedBit is set in the size of a metadata block that is not compressed.
const storedBit = 1 << 15

// cachedBlocks is how many metadata blocks are kept, 8 KiB each.
const cachedBlocks = 256

// region is a part of the image that consists of metadata blocks, [start, end).
type region struct {
	name       string
	start, end int64
}

// metaBlock is an unpacked metadata block.
type metaBlock struct {
	data []byte
	next int64 // where the next block begins
}

// block gives the metadata block at an offset in the image.
func (r *Reader) block(in *region, at int64) (*metaBlock, error) {
	if b, ok := r.blocks[at]; ok && b.next <= in.end {
		return b, nil
	}
	b, err := r.readMeta(in, at)
	if err != nil {
		return nil, fmt.Errorf("%s: metadata block at byte %d: %w", in.name, at, err)
	}
	if len(r.order) < cachedBlocks {
		r.order = append(r.order, at)
	} else {
		slot := &r.order[r.oldest]
		delete(r.blocks, *slot)
		*slot = at
		r.oldest = (r.oldest + 1) % cachedBlocks
	}
	r.blocks[at] = b
	return b, nil
}

var errOutside = errors.New("outside of its table")

// metaHeader reads the size of the metadata block at an offset.
func (r *Reader) metaHeader(in *region, at int64) (size int, stored bool, err error) {
	if at < in.start || at >= in.end-2 {
		return 0, false, errOutside
	}
	var head [2]byte
	if _, err := r.r.ReadAt(head[:], at); err != nil {
		return 0, false, noEOF(err)
	}
	word := int(le.Uint16(head[:]))
	size, stored = word&^storedBit, word&storedBit != 0
	switch {
	case size == 0:
		return 0, false, errors.New("it is empty")
	case size > metadataSize:
		return 0, false, fmt.Errorf("%d bytes, more than %d", size, metadataSize)
	case at+2+int64(size) > in.end:
		return 0, false, errors.New("it ends outside of its table")
	}
	return size, stored, nil
}

func (r *Reader) readMeta(in *region, at int64) (*metaBlock, error) {
	size, stored, err := r.metaHeader(in, at)
	if err != nil {
		return nil, err
	}
	src := r.scratch[:size]
	if _, err := r.r.ReadAt(src, at+2); err != nil {
		return nil, noEOF(err)
	}
	b := &metaBlock{next: at + 2 + int64(size)}
	if stored {
		b.data = append([]byte(nil), src...)
		return b, nil
	}
	b.data, err = r.decoder.Decode(make([]byte, 0, metadataSize), src, metadataSize)
	if err == nil && len(b.data) == 0 {
		err = errors.New("it holds nothing")
	}
	return b, err
}

// unpackedSize is the most that a region of metadata blocks can unpack to, by the count of its blocks.
func (r *Reader) unpackedSize(in *region) (int64, error) {
	n := int64(0)
	for at := in.start; at < in.end; n++ {
		size, _, err := r.metaHeader(in, at)
		if err != nil {
			return 0, fmt.Errorf("%s: metadata block at byte %d: %w", in.name, at, err)
		}
		at += 2 + int64(size)
	}
	return n * metadataSize, nil
}

// cursor reads what metadata blocks hold, one block after the other.
type cursor struct {
	r      *Reader
	in     *region
	at     int64 // of the block, in the image
	offset int   // within the unpacked block
	buf    [64]byte
}

// seek goes to a byte of an unpacked block.
func (r *Reader) seek(in *region, at uint64, offset uint16) cursor {
	if at > uint64(in.end-in.start) {
		at = uint64(in.end - in.start) // which is outside too
	}
	return cursor{r: r, in: in, at: in.start + int64(at), offset: int(offset)}
}

// Read reads all of p or fails.
func (c *cursor) read(p []byte) error {
	for len(p) > 0 {
		b, err := c.r.block(c.in, c.at)
		if err != nil {
			return err
		}
		if c.offset >= len(b.data) {
			if c.offset > len(b.data) {
				return fmt.Errorf("%s: metadata block at byte %d has no byte %d", c.in.name, c.at, c.offset)
			}
			c.at, c.offset = b.next, 0
			continue
		}
		n := copy(p, b.data[c.offset:])
		c.offset += n
		p = p[n:]
	}
	return nil
}

// skipEnd moves from the end of a metadata block to the start of the next.
func (c *cursor) skipEnd() error {
	b, err := c.r.block(c.in, c.at)
	if err == nil && c.offset == len(b.data) {
		c.at, c.offset = b.next, 0
	}
	return err
}

// take reads n bytes, at most 64, which are there until the next call.
func (c *cursor) take(n int) ([]byte, error) {
	p := c.buf[:n]
	return p, c.read(p)
}

// text reads n bytes; the caller has bounded n.
func (c *cursor) text(n int) (string, error) {
	if n <= len(c.buf) {
		p, err := c.take(n)
		return string(p), err
	}
	p := make([]byte, n)
	err := c.read(p)
	return string(p), err
}

// noEOF is an error for an end of the file where there should be none.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
