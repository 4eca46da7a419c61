// Package lz4fill compresses into LZ4 blocks of a given size: it takes as much input as fits into the block, as EROFS's
// clusters want it (LZ4_compress_HC_destSize of the lz4 library). The format is lz4_Block_format.md of lz4.
package lz4fill

import (
	"encoding/binary"
	"math/bits"

	"github.com/fledge-build/fledge/internal/lz77"
)

const (
	minMatch    = 4
	maxOffset   = 1<<16 - 1
	maxHashBits = 16
	// A block ends with at least so many literals, and its last match begins so many bytes before its end.
	lastLiterals  = 5
	lastMatch     = 12
	tail          = lastMatch - minMatch // literals behind a match that satisfy both
	depth         = 96                   // candidates looked at for one match
	goodMatch     = 192                  // a match that is taken without looking for a better one
	runMask       = 15                   // of a token's half
	maxInputBytes = 1 << 20              // taken into one block: what a reader has to unpack for a byte of it
)

// Encoder compresses blocks. It is not safe for concurrent use. What it puts out depends on the input alone.
type Encoder struct {
	head  [1 << maxHashBits]int32 // by hash: the last position and 1
	chain [1 << 16]uint16         // by position modulo 64 Ki: the distance to the one before with the same hash, 0 for none
	bits  int                     // of the hashes
	src   []byte
	next  int // first position that is not in the chains
	base  int // of the block in dst
	cuts  []cut
}

// cut is the state of a block before the sequence that leaves no room in its first pages: their number is the cut's index
// and 1.
type cut struct {
	out    int // bytes of whole sequences
	anchor int // bytes of src in them
}

// PageSize is what a block can be cut to multiples of, in bytes (Cut).
const PageSize = 4096

// Fill appends to dst one LZ4 block of at most limit bytes, which must be at least 16, with the beginning of src, and
// tells how many bytes of src that is. It takes all of src when it fits.
func (e *Encoder) Fill(dst, src []byte, limit int) (out []byte, used int) {
	src = src[:min(len(src), maxInputBytes)]
	e.bits = min(max(bits.Len(uint(len(src))), 8), maxHashBits) // a small input needs no large table, which has to be cleared
	clear(e.head[:1<<e.bits])
	e.src, e.next, e.base, e.cuts = src, 0, len(dst), e.cuts[:0]
	end := len(dst) + limit
	anchor := 0
	for pos := 0; pos+lastMatch <= len(src); {
		length, offset := e.find(pos, minMatch-1)
		if length < minMatch {
			pos++
			continue
		}
		for length < goodMatch && pos+1+lastMatch <= len(src) {
			better, at := e.find(pos+1, length)
			if better <= length {
				break
			}
			pos, length, offset = pos+1, better, at
		}
		need := len(dst) + sequenceSize(pos-anchor, length) + 1 + tail // and the least that has to follow
		for need > e.base+(len(e.cuts)+1)*PageSize {
			e.cuts = append(e.cuts, cut{len(dst) - e.base, anchor})
		}
		if need > end {
			break
		}
		dst = appendSequence(dst, src[anchor:pos], offset, length)
		pos += length
		anchor = pos
	}
	n := fit(end-len(dst), len(src)-anchor)
	e.cuts = append(e.cuts, cut{len(dst) - e.base, anchor})
	return appendLiterals(dst, src[anchor:anchor+n], 0), anchor + n
}

// Cut appends to dst what the last Fill would have made of src with a limit of that many pages, at least 1 and less than
// the block has. out is what that Fill returned.
func (e *Encoder) Cut(dst, out, src []byte, pages int) ([]byte, int) {
	c := e.cuts[min(pages, len(e.cuts))-1]
	n := fit(pages*PageSize-c.out, len(src)-c.anchor)
	dst = append(dst, out[e.base:e.base+c.out]...)
	return appendLiterals(dst, src[c.anchor:c.anchor+n], 0), c.anchor + n
}

// find looks for the longest match at pos that is longer than least, and gives its length and offset.
func (e *Encoder) find(pos, least int) (length, offset int) {
	for ; e.next <= pos; e.next++ {
		h := hash(e.src[e.next:], e.bits)
		if old := int(e.head[h]) - 1; old >= 0 && e.next-old <= maxOffset {
			e.chain[e.next&maxOffset] = uint16(e.next - old)
		} else {
			e.chain[e.next&maxOffset] = 0
		}
		e.head[h] = int32(e.next + 1)
	}
	limit := len(e.src) - lastLiterals
	length = least
	at := pos
	for range depth {
		step := int(e.chain[at&maxOffset])
		if at -= step; step == 0 || pos-at > maxOffset {
			break
		}
		if pos+length >= limit {
			break
		}
		if e.src[at+length] != e.src[pos+length] {
			continue
		}
		if n := lz77.MatchLen(e.src, at, pos, limit); n > length {
			length, offset = n, pos-at
		}
	}
	return length, offset
}

func hash(b []byte, bits int) uint32 {
	return binary.LittleEndian.Uint32(b) * 2654435761 >> (32 - bits)
}

// sequenceSize is what appendSequence appends, in bytes.
func sequenceSize(literals, length int) int {
	return 1 + extra(literals) + literals + 2 + extra(length-minMatch)
}

// appendSequence appends literals and a match.
func appendSequence(dst, literals []byte, offset, length int) []byte {
	dst = appendLiterals(dst, literals, min(length-minMatch, runMask))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(offset))
	return appendLength(dst, length-minMatch)
}

// appendLiterals appends a token with the match length match, and literals.
func appendLiterals(dst, literals []byte, match int) []byte {
	dst = append(dst, byte(min(len(literals), runMask)<<4|match))
	return append(appendLength(dst, len(literals)), literals...)
}

// appendLength appends what a length has beyond its part of the token.
func appendLength(dst []byte, n int) []byte {
	if n < runMask {
		return dst
	}
	for n -= runMask; n >= 255; n -= 255 {
		dst = append(dst, 255)
	}
	return append(dst, byte(n))
}

// extra is the number of bytes that appendLength appends.
func extra(n int) int {
	if n < runMask {
		return 0
	}
	return (n-runMask)/255 + 1
}

// fit is how many literals, at most n, fit into room bytes with their token.
func fit(room, n int) int {
	n = min(n, room-1)
	for n > 0 && 1+extra(n)+n > room {
		n--
	}
	return max(n, 0)
}
