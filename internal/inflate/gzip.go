package inflate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Reader reads the content of a gzip file: of all of its members, one after the other, with their checksums verified.
type Reader struct {
	f    inflater
	crc  uint32
	size uint32 // of the member so far
	err  error  // sticks
}

// NewReader reads the first header from r. It reads more from r than it needs.
func NewReader(r io.Reader) (*Reader, error) {
	z := &Reader{f: inflater{src: r}}
	if err := z.header(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return z, nil
}

// Read reads decompressed data. It returns io.EOF after the last member's checksum was found right, and an error for
// anything but another member behind it.
func (z *Reader) Read(p []byte) (int, error) {
	for z.f.rp == z.f.op && z.err == nil {
		z.err = z.fill()
	}
	n := copy(p, z.f.out[z.f.rp:z.f.op])
	z.f.rp += n
	if n == 0 && len(p) > 0 {
		return 0, z.err
	}
	return n, nil
}

// fill decodes the next part of the output.
func (z *Reader) fill() error {
	if z.f.state == atEnd {
		if err := z.trailer(); err != nil {
			return err
		}
		return z.header()
	}
	err := z.f.decode()
	fresh := z.f.out[z.f.rp:z.f.op]
	z.crc = crc32.Update(z.crc, crc32.IEEETable, fresh)
	z.size += uint32(len(fresh))
	return err
}

// The flags of a member (RFC 1952, section 2.3.1).
const (
	hasHeaderCRC = 1 << 1
	hasExtra     = 1 << 2
	hasName      = 1 << 3
	hasComment   = 1 << 4
	reserved     = 0xe0
)

var errFlags = errors.New("gzip header with unknown flags")

// header reads a member's header. The end of the input in place of one is io.EOF.
func (z *Reader) header() error {
	first, err := z.f.take(8)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	h := header{f: &z.f, err: err}
	h.update(byte(first))
	second, method, flags := h.byte(), h.byte(), h.byte()
	switch {
	case h.err != nil:
		return h.err
	case first != 0x1f || second != 0x8b:
		return errors.New("not a gzip header")
	case method != 8:
		return fmt.Errorf("gzip header with unknown method %d", method)
	case flags&reserved != 0:
		return fmt.Errorf("%w: %#x", errFlags, flags)
	}
	h.skip(6) // time, extra flags, system
	if flags&hasExtra != 0 {
		low, high := h.byte(), h.byte()
		h.skip(int(low) | int(high)<<8)
	}
	if flags&hasName != 0 {
		h.skipString()
	}
	if flags&hasComment != 0 {
		h.skipString()
	}
	if crc := h.crc; flags&hasHeaderCRC != 0 {
		if low, high := h.byte(), h.byte(); h.err == nil && uint16(crc) != uint16(low)|uint16(high)<<8 {
			return errors.New("wrong checksum of a gzip header")
		}
	}
	z.f.reset()
	z.crc, z.size = 0, 0
	return h.err
}

// header reads the bytes of a member's header. The first error sticks.
type header struct {
	f   *inflater
	crc uint32
	err error
}

func (h *header) update(b byte) { h.crc = crc32.Update(h.crc, crc32.IEEETable, []byte{b}) }

func (h *header) byte() byte {
	if h.err != nil {
		return 0
	}
	v, err := h.f.take(8)
	h.err = err
	h.update(byte(v))
	return byte(v)
}

func (h *header) skip(n int) {
	for ; n > 0; n-- {
		h.byte()
	}
}

func (h *header) skipString() {
	for h.byte() != 0 && h.err == nil {
	}
}

// trailer reads and compares the checksum and the size (RFC 1952, section 2.3).
func (z *Reader) trailer() error {
	z.f.align()
	crc, err := z.f.take(32)
	if err != nil {
		return err
	}
	size, err := z.f.take(32)
	switch {
	case err != nil:
		return err
	case uint32(crc) != z.crc:
		return errors.New("wrong checksum")
	case uint32(size) != z.size:
		return errors.New("wrong size in the gzip trailer")
	}
	return nil
}
