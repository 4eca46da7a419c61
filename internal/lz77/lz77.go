// Package lz77 compares parts of a text, for what looks for repetitions in it.
package lz77

import (
	"encoding/binary"
	"math/bits"
)

// MatchLen returns how many bytes at a and b are equal, a < b, up to limit (an index for b, <= len(src)).
func MatchLen(src []byte, a, b, limit int) int {
	start := b
	src = src[:limit]
	for b+8 <= len(src) {
		if d := binary.LittleEndian.Uint64(src[a:]) ^ binary.LittleEndian.Uint64(src[b:]); d != 0 {
			return b - start + bits.TrailingZeros64(d)>>3
		}
		a += 8
		b += 8
	}
	for b < len(src) && src[a] == src[b] {
		a++
		b++
	}
	return b - start
}
