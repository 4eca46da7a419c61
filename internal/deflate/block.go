package deflate

import (
	"math/bits"

	"github.com/fledge-build/fledge/internal/entropy"
)

const maxBits = 15 // of a code of literals, lengths or distances

// counts is how often each symbol occurs.
type counts struct {
	lit  [litSymbols]uint32
	dist [distSyms]uint32
}

func (c *counts) add(o *counts) {
	for i, n := range o.lit {
		c.lit[i] += n
	}
	for i, n := range o.dist {
		c.dist[i] += n
	}
}

// code is bits as they are written, and how many from bit 24 on.
type code uint32

func (c code) bits() uint64 { return uint64(c & (1<<24 - 1)) }
func (c code) len() uint    { return uint(c >> 24) }

// codes are the codes of a block.
type codes struct {
	litLen  [litSymbols]uint8
	distLen [distSyms]uint8
	lit     [litSymbols]code
	length  [maxMatch - minMatch + 1]code // with their extra bits
	dist    [distSyms]code
}

// fixedCodes are those of RFC 1951, section 3.2.6.
var fixedCodes = func() *codes {
	c := new(codes)
	for s := range c.litLen {
		switch {
		case s >= 144 && s < 256:
			c.litLen[s] = 9
		case s >= 256 && s < 280:
			c.litLen[s] = 7
		default:
			c.litLen[s] = 8
		}
	}
	for s := range c.distLen {
		c.distLen[s] = 5
	}
	c.assign()
	return c
}()

// assign makes the codes of their lengths: RFC 1951, section 3.2.2.
func (c *codes) assign() {
	canonical(c.litLen[:], c.lit[:])
	canonical(c.distLen[:], c.dist[:])
	for l := range c.length {
		s := c.lit[firstLen+int(lenSymbol[l])]
		extra := uint32(l) - uint32(lenBase[l])
		c.length[l] = (s + code(lenExtra[l])<<24) | code(extra<<s.len())
	}
}

// canonical sets the codes that have the lengths.
func canonical(lengths []uint8, out []code) {
	var next, n [maxBits + 2]uint32
	for _, l := range lengths {
		n[l]++
	}
	n[0] = 0
	for l := range maxBits {
		next[l+1] = (next[l] + n[l]) << 1
	}
	for s, l := range lengths {
		out[s] = 0
		if l > 0 {
			out[s] = code(uint32(bits.Reverse16(uint16(next[l])))>>(16-l) | uint32(l)<<24)
			next[l]++
		}
	}
}

// size is how many bits the symbols take, with their extra bits.
func (c *codes) size(n *counts) int {
	sum := 0
	for s, k := range n.lit {
		sum += int(k) * int(c.litLen[s])
	}
	for s, k := range n.dist {
		sum += int(k) * (int(c.distLen[s]) + int(distExtra(uint32(s))))
	}
	for s, k := range n.lit[firstLen:] {
		if s >= 8 && s < 28 {
			sum += int(k) * (s/4 - 1)
		}
	}
	return sum
}

// blockWriter writes blocks.
type blockWriter struct {
	bitWriter
	codes  codes
	header header
	tree   entropy.Builder
}

// twoSymbols gives the first symbols a count until two have one: decoders differ in what they take for less.
func twoSymbols(n []uint32) {
	used := 0
	for _, k := range n {
		if k > 0 {
			used++
		}
	}
	for s := 0; used < 2; s++ {
		if n[s] == 0 {
			n[s] = 1
			used++
		}
	}
}

const (
	blockStored = 0
	blockFixed  = 1
	blockCodes  = 2
)

// block writes data, which seqs describe and whose symbols n counts, in the way that takes least. It adds to n.
func (w *blockWriter) block(data []byte, seqs []sequence, n *counts, final bool) {
	n.lit[endOfBlock] = 1
	last := uint64(0)
	if final {
		last = 1
	}
	c, size := fixedCodes, fixedCodes.size(n)
	stored := (len(data) + 5*(len(data)+maxStored-1)/maxStored) * 8
	if len(data) == 0 {
		stored = size + 1
	}
	own := *n
	twoSymbols(own.lit[:])
	twoSymbols(own.dist[:])
	w.tree.Lengths(own.lit[:], maxBits, w.codes.litLen[:])
	w.tree.Lengths(own.dist[:], maxBits, w.codes.distLen[:])
	w.header.make(&w.codes, &w.tree)
	if s := w.codes.size(n) + w.header.size; s < size {
		c, size = &w.codes, s
	}
	if size >= stored {
		w.stored(data, last)
		return
	}
	w.room(size/8 + 16)
	if c == fixedCodes {
		w.Add(last|blockFixed<<1, 3)
	} else {
		w.Add(last|blockCodes<<1, 3)
		w.header.write(&w.bitWriter)
		c.assign()
	}
	w.sequences(c, data, seqs)
}

const maxStored = 1<<16 - 1

// stored writes data as it is.
func (w *blockWriter) stored(data []byte, last uint64) {
	for more := true; more; {
		b := data[:min(len(data), maxStored)]
		data = data[len(b):]
		more = len(data) > 0
		w.room(len(b) + 16)
		if more {
			w.Add(blockStored<<1, 3)
		} else {
			w.Add(last|blockStored<<1, 3)
		}
		w.align()
		w.Add(uint64(len(b))|uint64(^uint16(len(b)))<<16, 32)
		w.Flush()
		w.bytes(b)
	}
}

// sequences writes the symbols of a block and its end.
func (w *blockWriter) sequences(c *codes, data []byte, seqs []sequence) {
	b := w.bitWriter
	b.Flush()
	for _, s := range seqs {
		lits := data[:s.lits]
		data = data[int(s.lits)+int(s.length):]
		for len(lits) >= 3 {
			c0, c1, c2 := c.lit[lits[0]], c.lit[lits[1]], c.lit[lits[2]]
			b.Add(c0.bits(), c0.len())
			b.Add(c1.bits(), c1.len())
			b.Add(c2.bits(), c2.len())
			b.Flush()
			lits = lits[3:]
		}
		for _, l := range lits {
			b.Add(c.lit[l].bits(), c.lit[l].len())
		}
		b.Flush()
		if s.length > 0 {
			l := c.length[s.length-minMatch]
			b.Add(l.bits(), l.len())
			symbol := distSymbol(uint32(s.dist) + 1)
			d := c.dist[symbol]
			b.Add(d.bits(), d.len())
			b.Add(uint64(uint32(s.dist)-distBase(symbol)), distExtra(symbol))
			b.Flush()
		}
	}
	b.Add(c.lit[endOfBlock].bits(), c.lit[endOfBlock].len())
	b.Flush()
	w.bitWriter = b
}
