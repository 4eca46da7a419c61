package zstdblock

import (
	"encoding/binary"

	"github.com/fledge-build/fledge/internal/bitstream"
	"github.com/fledge-build/fledge/internal/entropy"
)

const maxHuffBits = 11 // RFC 8878 section 4.2.1

// huffTable is the encoding side of a literals tree.
type huffTable struct {
	last int // highest symbol with a code
	bits uint
	code [256]uint32 // code << 8 | length; 0 for a symbol that has none
	desc []byte      // tree description, empty when the tree cannot be described
}

// huffBuilder holds the scratch space of build.
type huffBuilder struct {
	lengths entropy.Builder
	fse     fseTable
	buf     [160]byte
}

// build makes the table for counts, of which at least two are not zero.
func (b *huffBuilder) build(t *huffTable, counts *[256]uint32) {
	var length [256]uint8
	t.bits = b.lengths.Lengths(counts[:], maxHuffBits, length[:])
	var perLen [maxHuffBits + 2]uint32
	for s, l := range length {
		if l > 0 {
			perLen[l]++
			t.last = s
		}
	}
	// Codes start at zero with the longest, RFC 8878 section 4.2.1.3.
	var start [maxHuffBits + 2]uint32
	next := uint32(0)
	for l := t.bits; l > 0; l-- {
		start[l] = next
		next = (next + perLen[l]) >> 1
	}
	for s, l := range length {
		t.code[s] = 0
		if l > 0 {
			t.code[s] = start[l]<<8 | uint32(l)
			start[l]++
		}
	}
	var weights [256]uint8
	for s := 0; s < t.last; s++ {
		if l := length[s]; l > 0 {
			weights[s] = uint8(t.bits) + 1 - l
		}
	}
	b.describe(t, weights[:t.last])
}

// describe sets the tree description: weights by FSE when that is shorter, else four bits each.
func (b *huffBuilder) describe(t *huffTable, weights []uint8) {
	t.desc = t.desc[:0]
	if size := b.fseWeights(weights); size > 0 && size < 128 && (len(weights) > 128 || size < (len(weights)+1)/2) {
		t.desc = append(t.desc, byte(size))
		t.desc = append(t.desc, b.buf[:size]...)
		return
	}
	if len(weights) > 128 {
		return
	}
	t.desc = append(t.desc, byte(127+len(weights)))
	for i := 0; i < len(weights); i += 2 {
		v := weights[i] << 4
		if i+1 < len(weights) {
			v |= weights[i+1]
		}
		t.desc = append(t.desc, v)
	}
}

// fseWeights writes the weights to buf by two interleaved FSE states and returns the size, 0 when that cannot be done.
func (b *huffBuilder) fseWeights(weights []uint8) int {
	var counts [maxHuffBits + 2]uint32
	top, distinct := 0, 0
	for _, w := range weights {
		counts[w]++
	}
	for w, c := range counts {
		if c > 0 {
			top = w
			distinct++
		}
	}
	if distinct < 2 || len(weights) < 3 {
		return 0
	}
	b.fse.normalize(counts[:top+1], uint32(len(weights)), fseLog(uint32(len(weights)), distinct, 6))
	b.fse.build()
	w := bitWriter{bitstream.Writer{Buf: b.buf[:]}}
	w.Pos = len(b.fse.appendNorm(b.buf[:0]))
	i := len(weights) - 1
	var state [2]uint32
	state[i&1] = b.fse.first(weights[i])
	i--
	state[i&1] = b.fse.first(weights[i])
	for i--; i >= 0; i-- {
		state[i&1] = b.fse.encode(&w, state[i&1], weights[i])
		w.Flush()
		if w.Pos > 140 {
			return 0
		}
	}
	w.addLow(uint64(state[1]), b.fse.log)
	w.addLow(uint64(state[0]), b.fse.log)
	w.close()
	return w.Pos
}

// size returns the bits that counts take with this table, or -1 when a symbol has no code.
func (t *huffTable) size(counts *[256]uint32) int64 {
	sum := int64(0)
	for s, c := range counts {
		if c == 0 {
			continue
		}
		l := t.code[s] & 255
		if l == 0 {
			return -1
		}
		sum += int64(c) * int64(l)
	}
	return sum
}

// encode writes lits as one stream to buf and returns its size. buf needs eight bytes beyond the stream.
func (t *huffTable) encode(buf, lits []byte) int {
	acc, n, pos := uint64(0), uint(0), 0
	i := len(lits)
	for ; i&3 != 0; i-- {
		c := t.code[lits[i-1]]
		acc |= uint64(c>>8) << (n & 63)
		n += uint(c & 255)
	}
	for ; i >= 4; i -= 4 {
		binary.LittleEndian.PutUint64(buf[pos:], acc)
		pos += int(n >> 3)
		acc >>= n & 56
		n &= 7
		q := lits[i-4 : i : i]
		c3, c2, c1, c0 := t.code[q[3]], t.code[q[2]], t.code[q[1]], t.code[q[0]]
		acc |= uint64(c3>>8) << (n & 63)
		n += uint(c3 & 255)
		acc |= uint64(c2>>8) << (n & 63)
		n += uint(c2 & 255)
		acc |= uint64(c1>>8) << (n & 63)
		n += uint(c1 & 255)
		acc |= uint64(c0>>8) << (n & 63)
		n += uint(c0 & 255)
	}
	w := bitWriter{bitstream.Writer{Acc: acc, N: n, Buf: buf, Pos: pos}}
	w.Flush()
	w.close()
	return w.Pos
}
