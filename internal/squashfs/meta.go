package squashfs

import (
	"fmt"
	"io"
	"math"
)

// table is a sequence of records that becomes metadata blocks: cut every 8 KiB and compressed. It stays in memory, in
// compressed form, until it is written.
//
// Records refer to others by where their block begins in a compressed table, which is known only once all blocks before
// it are compressed. Such a field is filled when its own block is cut (refer), so that many blocks can be compressed at
// once.
type table struct {
	name   string // for errors
	pool   *pool
	buf    []byte // what is not cut yet
	refs   []ref  // fields in buf to be filled
	blocks []*block
	starts []uint64 // where the first blocks begin, as far as known; one more than blocks when complete
}

// ref is a 32-bit field that takes the start of a block.
type ref struct {
	at     int // in buf
	target *table
	block  int
}

// place is where a record begins: in which block, and where in its uncompressed form.
type place struct {
	block  int
	offset uint16
}

func newTable(name string, p *pool) *table { return &table{name: name, pool: p, starts: []uint64{0}} }

// next is where the next record will be.
func (t *table) next() place {
	return place{len(t.blocks) + len(t.buf)/metadataSize, uint16(len(t.buf) % metadataSize)}
}

// refer says that the four bytes at offset at of the record that append is about to add take the start of a block of
// target, one that is complete or the one after the last complete one.
func (t *table) refer(at int, target *table, block int) {
	t.refs = append(t.refs, ref{len(t.buf) + at, target, block})
}

// append adds a record.
func (t *table) append(record []byte) error {
	t.buf = append(t.buf, record...)
	if len(t.buf) < metadataSize {
		return nil
	}
	if err := t.fill(); err != nil {
		return err
	}
	cut := 0
	for ; len(t.buf)-cut >= metadataSize; cut += metadataSize {
		t.blocks = append(t.blocks, t.pool.submit(t.buf[cut:cut+metadataSize]))
	}
	t.buf = t.buf[:copy(t.buf, t.buf[cut:])]
	if cap(t.buf) > 64*metadataSize { // after a very long record
		t.buf = append(make([]byte, 0, 2*metadataSize), t.buf...)
	}
	return nil
}

// fill fills the fields in buf.
func (t *table) fill() error {
	for _, r := range t.refs {
		start, err := r.target.start(r.block)
		if err != nil {
			return err
		}
		if start > math.MaxUint32 {
			return fmt.Errorf("the %s takes more than 4 GiB, which squashfs cannot address", r.target.name)
		}
		le.PutUint32(t.buf[r.at:], uint32(start))
	}
	t.refs = t.refs[:0]
	return nil
}

// start is where block i begins in the compressed table.
func (t *table) start(i int) (uint64, error) {
	for known := len(t.starts) - 1; known < i; known++ {
		b := t.blocks[known]
		if <-b.done; b.err != nil {
			return 0, fmt.Errorf("compress the %s: %w", t.name, b.err)
		}
		t.starts = append(t.starts, t.starts[known]+2+uint64(len(b.data)))
	}
	return t.starts[i], nil
}

// finish cuts the last block and gives the size of the compressed table.
func (t *table) finish() (uint64, error) {
	if err := t.fill(); err != nil {
		return 0, err
	}
	if len(t.buf) > 0 {
		t.blocks = append(t.blocks, t.pool.submit(t.buf))
		t.buf = nil
	}
	return t.start(len(t.blocks))
}

// storedBit marks the header of a metadata block that is not compressed.
const storedBit = 0x8000

// writeTo writes the finished table.
func (t *table) writeTo(w io.Writer) error {
	var head [2]byte
	for _, b := range t.blocks {
		size := uint16(len(b.data))
		if b.stored {
			size |= storedBit
		}
		le.PutUint16(head[:], size)
		if _, err := w.Write(head[:]); err != nil {
			return err
		}
		if _, err := w.Write(b.data); err != nil {
			return err
		}
	}
	return nil
}

// index is the list of where the blocks of the finished table lie when it is written at offset at of the image.
func (t *table) index(at uint64) []byte {
	b := make([]byte, 0, 8*len(t.blocks))
	for _, start := range t.starts[:len(t.blocks)] {
		b = le.AppendUint64(b, at+start)
	}
	return b
}
