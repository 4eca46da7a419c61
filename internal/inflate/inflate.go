// Package inflate reads gzip streams (RFC 1952, and RFC 1951 for what is in them). It is there because unpacking layers
// is a large part of packing them at low levels, and it takes about half the time of the libraries' readers.
package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errCorrupt is data that breaks the format.
var errCorrupt = errors.New("corrupt deflate data")

const (
	window   = 32 << 10  // how far back a match may reach
	chunk    = 128 << 10 // what is decoded between two reads of the caller, at least
	maxMatch = 258
	slack    = 16 // bytes behind the buffers, where words may reach into

	inputSize  = 64 << 10
	outputSize = window + chunk + maxMatch + slack
)

// inflater decodes one deflate stream after the other from one input.
type inflater struct {
	src    io.Reader
	srcErr error // src's end or error, once seen

	in   [inputSize + slack]byte
	ip   int    // next byte of in that is not in bits
	ie   int    // end of the input in in
	bits uint64 // bits read, lowest first; those above nbits are garbage that a refill writes again
	n    uint   // how many

	out   [outputSize]byte
	op    int // end of the output in out
	rp    int // end of what the caller has read
	start int // where the stream's output begins in out, as far as it is there

	lit    [litSize]uint32
	dist   [distSize]uint32
	stored int // bytes left of a stored block
	state  state
	last   bool // the block is the stream's last one
}

type state uint8

const (
	atHeader state = iota // a block header comes
	inStored              // in a stored block
	inCodes               // in a block of codes
	atEnd                 // the stream is complete
)

// reset begins a new stream, at the next byte of the input.
func (f *inflater) reset() {
	f.start = f.op
	f.state = atHeader
	f.last = false
}

// decode decodes until the chunk is full or the stream ends. All output must have been read.
func (f *inflater) decode() error {
	if f.op > window {
		// The window moves to the front; the rest is free again.
		moved := f.op - window
		copy(f.out[:window], f.out[moved:f.op])
		f.start = max(0, f.start-moved)
		f.op, f.rp = window, window
	}
	for f.state != atEnd && f.op < window+chunk {
		var err error
		switch f.state {
		case atHeader:
			err = f.blockHeader()
		case inStored:
			err = f.copyStored()
		case inCodes:
			err = f.codes()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blockHeader reads what comes before a block's data (RFC 1951, section 3.2.3).
func (f *inflater) blockHeader() error {
	if f.last {
		f.state = atEnd
		return nil
	}
	head, err := f.take(3)
	if err != nil {
		return err
	}
	f.last = head&1 == 1
	switch head >> 1 {
	case 0:
		f.align()
		var lengths uint64
		if lengths, err = f.take(32); err != nil {
			return err
		}
		if uint16(lengths) != ^uint16(lengths>>16) {
			return fmt.Errorf("%w: length of a stored block", errCorrupt)
		}
		f.stored = int(uint16(lengths))
		f.state = inStored
	case 1:
		f.lit, f.dist = fixedTables()
		f.state = inCodes
	case 2:
		err = f.readTables()
		f.state = inCodes
	default:
		err = fmt.Errorf("%w: block type", errCorrupt)
	}
	return err
}

// copyStored copies as much of a stored block as there is room for.
func (f *inflater) copyStored() error {
	for f.stored > 0 && f.op < window+chunk {
		// What the bits hold comes first; they are whole bytes here.
		if f.n > 0 {
			v, err := f.take(8)
			if err != nil {
				return err
			}
			f.out[f.op] = byte(v)
			f.op++
			f.stored--
			continue
		}
		if f.ip >= f.ie {
			if err := f.more(); err != nil {
				return err
			}
		}
		k := copy(f.out[f.op:min(f.op+f.stored, window+chunk)], f.in[f.ip:f.ie])
		f.ip += k
		f.op += k
		f.stored -= k
	}
	if f.stored == 0 {
		f.state = atHeader
	}
	return nil
}

// more reads input behind what is left of it. There being none is io.ErrUnexpectedEOF.
func (f *inflater) more() error {
	if f.ip > f.ie {
		return io.ErrUnexpectedEOF // codes read from the zeros behind the end
	}
	copy(f.in[:], f.in[f.ip:f.ie])
	f.ie -= f.ip
	f.ip = 0
	for f.srcErr == nil {
		var k int
		k, f.srcErr = f.src.Read(f.in[f.ie:inputSize])
		f.ie += k
		if k > 0 {
			return nil
		}
	}
	if errors.Is(f.srcErr, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return f.srcErr
}

// need reads until there are n bits, at most 32.
func (f *inflater) need(n uint) error {
	for f.n < n {
		if f.ip >= f.ie {
			if err := f.more(); err != nil {
				return err
			}
		}
		f.bits = f.bits&(1<<f.n-1) | uint64(f.in[f.ip])<<f.n
		f.ip++
		f.n += 8
	}
	return nil
}

// take reads n bits, at most 32.
func (f *inflater) take(n uint) (uint64, error) {
	if err := f.need(n); err != nil {
		return 0, err
	}
	v := f.bits & (1<<n - 1)
	f.bits >>= n
	f.n -= n
	return v, nil
}

// align drops the bits before the next whole byte.
func (f *inflater) align() {
	f.bits >>= f.n & 7
	f.n &^= 7
}

// codes decodes symbols until the block ends, the chunk is full or an error.
func (f *inflater) codes() error {
	for {
		// Words may be read from here on without a look at the input's end; at the very end, zeros stand behind it.
		limit := f.ie - 8
		if f.ip > limit {
			switch err := f.more(); {
			case err == nil:
				continue
			case !errors.Is(f.srcErr, io.EOF):
				return err
			}
			clear(f.in[f.ie : f.ie+slack])
			limit = f.ie + slack - 8
		}
		done, err := f.symbols(limit)
		if f.ip-int(f.n/8) > f.ie {
			return io.ErrUnexpectedEOF // whatever else is wrong with what the zeros gave
		}
		if f.ip > f.ie { // give back the zeros
			f.n -= 8 * uint(f.ip-f.ie)
			f.ip = f.ie
		}
		if done {
			f.state = atHeader
		}
		if done || f.op >= window+chunk {
			return err
		}
	}
}

// symbols is the inner loop: it decodes while ip is at most limit and there is room. done tells that the block ended.
func (f *inflater) symbols(limit int) (done bool, err error) {
	in, out, lit, dist := &f.in, &f.out, &f.lit, &f.dist
	ip, op, bits, n := f.ip, f.op, f.bits&(1<<f.n-1), f.n
	for ip <= limit && op < window+chunk && !done {
		// A length and a distance take at most 48 bits. The refill may write again what is above n already.
		bits |= binary.LittleEndian.Uint64(in[ip:]) << (n & 63)
		ip += int(63-n) >> 3
		n |= 56
		e := lit[bits&(1<<litBits-1)]
		if e&isSubtable != 0 {
			e = lit[e>>16+uint32(bits>>litBits)&(1<<litMore-1)]
		}
		before := bits
		bits, n = bits>>(e&63), n-uint(e&63)
		if e&isLiteral != 0 {
			out[op] = byte(e >> 16)
			op++
			// Other literals mostly follow; take those that there are bits for.
			for e = lit[bits&(1<<litBits-1)]; e&isLiteral != 0 && n >= litBits; e = lit[bits&(1<<litBits-1)] {
				bits, n = bits>>(e&63), n-uint(e&63)
				out[op] = byte(e >> 16)
				op++
			}
			continue
		}
		if e&isOther != 0 {
			if done = true; e&isEnd == 0 {
				err = fmt.Errorf("%w: symbol without a code", errCorrupt)
			}
			break
		}
		length := int(e>>16) + int(before&(1<<(e&63)-1)>>(e>>8&15))
		e = dist[bits&(1<<distBits-1)]
		if e&isSubtable != 0 {
			e = dist[e>>16+uint32(bits>>distBits)&(1<<distMore-1)]
		}
		distance := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits, n = bits>>(e&63), n-uint(e&63)
		switch {
		case e&isOther != 0:
			done, err = true, fmt.Errorf("%w: distance without a code", errCorrupt)
		case distance > op-f.start:
			done, err = true, fmt.Errorf("%w: match before the beginning", errCorrupt)
		case distance < 8:
			op = copyNear(out, op, distance, length)
		default:
			// In words, which may write behind the end.
			for end, from := op+length, op-distance; ; from += 8 {
				binary.LittleEndian.PutUint64(out[op:], binary.LittleEndian.Uint64(out[from:]))
				if op += 8; op >= end {
					op = end
					break
				}
			}
		}
	}
	f.ip, f.op, f.bits, f.n = ip, op, bits, n
	return done, err
}

// copyNear copies a match that overlaps itself within a word, and returns its end.
func copyNear(out *[outputSize]byte, op, distance, length int) int {
	if distance == 1 {
		word := uint64(out[op-1]) * 0x0101010101010101
		for i := 0; i < length; i += 8 {
			binary.LittleEndian.PutUint64(out[op+i:], word)
		}
		return op + length
	}
	for range length {
		out[op] = out[op-distance]
		op++
	}
	return op
}
