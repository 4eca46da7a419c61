// Package lz4fill compresses into LZ4 blocks of a given size: it takes as much input as fits into the block, as EROFS's
// clusters want it (LZ4_compress_HC_destSize of the lz4 library). The format is lz4_Block_format.md of lz4.
package lz4fill

import (
	"encoding/binary"

	"github.com/fledge-build/fledge/internal/lz77"
)

const (
	minMatch  = 4
	maxOffset = 1<<16 - 1
	hashBits  = 16
	// A block ends with at least so many literals, and its last match begins so many bytes before its end.
	lastLiterals  = 5
	lastMatch     = 12
	tail          = lastMatch - minMatch // literals behind a match that satisfy both
	depth         = 256                  // candidates looked at for one match
	goodMatch     = 192                  // a match that is taken without looking for a better one
	runMask       = 15                   // of a token's half
	maxInputBytes = 1 << 20              // taken into one block: what a reader has to unpack for a byte of it
)

// Encoder compresses blocks. It is not safe for concurrent use. What it puts out depends on the input alone.
type Encoder struct {
	head  [1 << hashBits]int32 // by hash: the last position and 1
	chain [1 << 16]uint16      // by position modulo 64 Ki: the distance to the one before with the same hash, 0 for none
	src   []byte
	next  int // first position that is not in the chains
}

// Fill appends to dst one LZ4 block of at most limit bytes, which must be at least 16, with the beginning of src, and
// tells how many bytes of src that is. It takes all of src when it fits.
func (e *Encoder) Fill(dst, src []byte, limit int) (out []byte, used int) {
	src = src[:min(len(src), maxInputBytes)]
	clear(e.head[:])
	e.src, e.next = src, 0
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
		next, ok := appendSequence(dst, src[anchor:pos], offset, length, end)
		if !ok {
			break
		}
		dst, pos = next, pos+length
		anchor = pos
	}
	n := fit(end-len(dst), len(src)-anchor)
	return appendLiterals(dst, src[anchor:anchor+n], 0), anchor + n
}

// find looks for the longest match at pos that is longer than least, and gives its length and offset.
func (e *Encoder) find(pos, least int) (length, offset int) {
	for ; e.next <= pos; e.next++ {
		h := hash(e.src[e.next:])
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

func hash(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) * 2654435761 >> (32 - hashBits)
}

// appendSequence appends literals and a match, unless what has to follow would not fit before end any more.
func appendSequence(dst, literals []byte, offset, length, end int) ([]byte, bool) {
	size := 1 + extra(len(literals)) + len(literals) + 2 + extra(length-minMatch)
	if len(dst)+size+1+tail > end {
		return dst, false
	}
	dst = appendLiterals(dst, literals, min(length-minMatch, runMask))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(offset))
	return appendLength(dst, length-minMatch), true
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

// Bound is the most that a block takes for n bytes of input.
func Bound(n int) int { return 1 + extra(n) + n }
