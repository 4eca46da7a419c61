package layerpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/fledge-build/fledge/internal/packfile"
)

// castagnoli is the polynomial of CRC-32C, for which processors have an instruction: a check costs next to nothing
// beside reading the data.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checks are the checksums of the data as it is written: one for what lies in each checkSize bytes of the file.
type checks struct {
	full pages[uint32] // of complete pieces
	last checkMark     // of what follows them
}

// checkMark is a place in the data.
type checkMark struct {
	sum  uint32 // of the piece that is not complete
	size int    // of that piece, in bytes, what stands before the data included
	full int    // complete pieces before it
}

// add continues the data with p.
func (c *checks) add(p []byte) {
	for len(p) > 0 {
		n := min(len(p), checkSize-c.last.size)
		c.last.sum = crc32.Update(c.last.sum, castagnoli, p[:n])
		c.last.size += n
		p = p[n:]
		if c.last.size == checkSize {
			c.full.push(c.last.sum)
			c.last = checkMark{full: c.full.n}
		}
	}
}

// mark is the end of the data so far.
func (c *checks) mark() checkMark { return c.last }

// goBack forgets what was added after m.
func (c *checks) goBack(m checkMark) {
	c.full.truncate(m.full)
	c.last = m
}

// all calls yield for each check until it returns false.
func (c *checks) all(yield func(uint32) bool) {
	for sum := range c.full.all {
		if !yield(sum) {
			return
		}
	}
	if c.last.size > 0 {
		yield(c.last.sum)
	}
}

func (r *Reader) readChecks() error {
	b := make([]byte, 4*r.foot.checks())
	if _, err := r.f.ReadAt(b, r.foot.checksAt()); err != nil {
		return err
	}
	r.checks = make([]uint32, 0, r.foot.checks())
	for sum := range slices.Chunk(b, 4) {
		r.checks = append(r.checks, binary.LittleEndian.Uint32(sum))
	}
	return nil
}

// ReadAt fills p with what lies at offset off of the pack, which must be data, and verifies it. What the checks cover
// beyond p is read for that too, so large pieces that begin and end at multiples of 64 KiB are best.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	begin, end := int64(packfile.MagicSize), r.foot.dataEnd
	if off < begin || off > end || int64(len(p)) > end-off {
		return 0, errors.New("read outside of the data")
	}
	if _, err := r.f.ReadAt(p, off); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	stop := off + int64(len(p))
	for i := off / checkSize; i*checkSize < stop; i++ {
		from, to := max(i*checkSize, begin), min((i+1)*checkSize, end)
		inside := p[max(from, off)-off : min(to, stop)-off]
		sum, err := r.sum(0, from, off)
		if err == nil {
			sum, err = r.sum(crc32.Update(sum, castagnoli, inside), stop, to)
		}
		if err != nil {
			return 0, err
		}
		if sum != r.checks[i] {
			return 0, fmt.Errorf("its data is damaged between the bytes %d and %d; pack the layer again", from, to)
		}
	}
	return len(p), nil
}

// sum continues a checksum with the bytes of the pack between from and to, if there are any.
func (r *Reader) sum(sum uint32, from, to int64) (uint32, error) {
	if from >= to {
		return sum, nil
	}
	b := make([]byte, to-from)
	_, err := r.f.ReadAt(b, from)
	return crc32.Update(sum, castagnoli, b), err
}
