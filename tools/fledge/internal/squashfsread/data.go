package squashfsread

import (
	"errors"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/codec"
)

// tailCacheBytes is how much of fragment blocks is kept, unpacked.
const tailCacheBytes = 8 << 20

// tailCache keeps the fragment blocks that were read last.
type tailCache struct {
	blocks map[uint32][]byte
	order  []uint32
}

// readData reads and unpacks a data block of at most max bytes.
func (r *Reader) readData(b dataBlock, max int, buf *blockBuffers) ([]byte, error) {
	if err := r.checkData(b); err != nil {
		return nil, err
	}
	size := int(b.stored())
	buf.in = grown(buf.in, size)
	if _, err := r.r.ReadAt(buf.in, int64(b.at)); err != nil {
		return nil, noEOF(err)
	}
	if b.size&uncompressed != 0 {
		if size > max {
			return nil, errTooLong
		}
		return buf.in, nil
	}
	decoder := buf.decoder
	if decoder == nil {
		decoder = r.decoder
	}
	out, err := decoder.Decode(buf.out[:0], buf.in, max)
	if err != nil {
		return nil, fmt.Errorf("data block at byte %d: %w", b.at, err)
	}
	buf.out = out
	return out, nil
}

// blockBuffers are what readData reuses.
type blockBuffers struct {
	in, out []byte
	decoder codec.Decoder // nil is the reader's
}

func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// fragmentData is the content of a fragment block.
func (r *Reader) fragmentData(i uint32) ([]byte, error) {
	if data, ok := r.tails.blocks[i]; ok {
		return data, nil
	}
	b, err := r.fragment(i)
	if err != nil {
		return nil, err
	}
	data, err := r.readData(b, int(r.super.blockSize), &blockBuffers{})
	if err != nil {
		return nil, fmt.Errorf("fragment block %d: %w", i, err)
	}
	c := &r.tails
	if c.blocks == nil {
		c.blocks = make(map[uint32][]byte)
	}
	if len(c.order) >= max(2, tailCacheBytes/int(r.super.blockSize)) {
		delete(c.blocks, c.order[0])
		c.order = c.order[1:]
	}
	c.blocks[i] = data
	c.order = append(c.order, i)
	return data, nil
}

// stored is what a file's content takes in the image, in bytes: its blocks, and of its fragment block the share of its
// tail.
func (r *Reader) stored(n *inode) (int64, error) {
	total, err := r.storedBlocks(n)
	if err != nil || n.file.fragment == noFragment {
		return total, err
	}
	b, err := r.fragment(n.file.fragment)
	if err != nil {
		return 0, err
	}
	tail := int64(n.size % uint64(r.super.blockSize))
	return total + b.stored()*tail/int64(max(1, r.used[n.file.fragment])), nil
}

// longList is the number of blocks from which on the sum of a file's blocks is kept.
const longList = 64

// storedBlocks is what a file's blocks take. Long lists are read once, however many names the file has, and do not overlap,
// so that the work is bounded by the size of the inode table.
func (r *Reader) storedBlocks(n *inode) (total int64, err error) {
	long := n.file.blocks >= longList
	if long {
		if total, ok := r.sums[n.ref]; ok {
			return total, nil
		}
		if r.listed += 4 * int64(n.file.blocks); r.listed > r.inodeBytes {
			return 0, errors.New("lists of blocks are larger together than the inode table")
		}
	}
	sizes := n.file.sizes
	for range n.file.blocks {
		b, err := sizes.take(4)
		if err != nil {
			return 0, err
		}
		total += dataBlock{size: le.Uint32(b)}.stored()
	}
	if long {
		r.sums[n.ref] = total
	}
	return total, nil
}

// content is a file's content, block by block.
type content struct {
	r     *Reader
	path  string
	n     *inode
	sizes cursor
	index uint64 // of the next block
	at    uint64 // where it is in the image
	buf   blockBuffers
	rest  []byte
	zeros uint64 // still to come, before rest is refilled
	err   error
}

func (r *Reader) content(path string, n *inode) *content {
	return &content{r: r, path: path, n: n, sizes: n.file.sizes, at: n.file.start}
}

func (c *content) Read(p []byte) (int, error) {
	for len(c.rest) == 0 && c.zeros == 0 && c.err == nil {
		if c.err = c.next(); c.err != nil && c.err != io.EOF {
			c.err = fmt.Errorf("squashfs: %w", at(c.path, c.err))
		}
	}
	switch {
	case c.zeros > 0:
		n := int(min(uint64(len(p)), c.zeros))
		clear(p[:n])
		c.zeros -= uint64(n)
		return n, nil
	case len(c.rest) > 0:
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return 0, c.err
}

// next reads the next block, or the tail behind the last.
func (c *content) next() error {
	blockSize := uint64(c.r.super.blockSize)
	if c.index < c.n.file.blocks {
		i := c.index
		c.index++
		b, err := c.sizes.take(4)
		if err != nil {
			return err
		}
		d := dataBlock{c.at, le.Uint32(b)}
		want := min(blockSize, c.n.size-i*blockSize)
		if d.size == 0 {
			c.zeros = want
			return nil
		}
		if c.rest, err = c.r.readData(d, int(want), &c.buf); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
		if uint64(len(c.rest)) != want {
			return fmt.Errorf("block %d at byte %d: %d bytes of %d", i, d.at, len(c.rest), want)
		}
		c.at += uint64(d.stored())
		return nil
	}
	if c.index > c.n.file.blocks || c.n.file.fragment == noFragment {
		return io.EOF
	}
	c.index++
	data, err := c.r.fragmentData(c.n.file.fragment)
	if err != nil {
		return err
	}
	from, size := uint64(c.n.file.offset), c.n.size%blockSize
	if from+size > uint64(len(data)) {
		return fmt.Errorf("tail at byte %d of fragment block %d, which has %d", from, c.n.file.fragment, len(data))
	}
	c.rest = data[from : from+size]
	return nil
}
