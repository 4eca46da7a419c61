package deflate

import "math/bits"

// The alphabets of RFC 1951, section 3.2.5.
const (
	endOfBlock = 256
	litSymbols = 288 // literals, the end of the block, lengths; the last two never occur, but have fixed codes
	firstLen   = 257
	distSyms   = 30

	minMatch = 3
	maxMatch = 258
	window   = 32 << 10 // how far back a match may reach
)

// lenSymbol and lenExtra tell the symbol of a match length less 3, from firstLen on, and the extra bits behind it.
var lenSymbol, lenExtra, lenBase = func() (symbol, extra, base [maxMatch - minMatch + 1]uint8) {
	l := 0
	for s := range 28 {
		n := max(0, s/4-1)
		start := l
		for range 1 << n {
			symbol[l], extra[l], base[l] = uint8(s), uint8(n), uint8(start)
			l++
			if l == maxMatch-minMatch {
				break
			}
		}
	}
	symbol[maxMatch-minMatch], extra[maxMatch-minMatch], base[maxMatch-minMatch] = 28, 0, maxMatch-minMatch
	return symbol, extra, base
}()

// distSymbol is the symbol of a distance from 1 to 32768.
func distSymbol(d uint32) uint32 {
	d--
	if d < 4 {
		return d
	}
	n := uint32(bits.Len32(d)) - 2
	return 2*n + d>>n
}

// distExtra is how many extra bits follow a distance symbol.
func distExtra(symbol uint32) uint { return uint(max(symbol, 2)-2) >> 1 }

// distBase is the least distance less 1 of a symbol.
func distBase(symbol uint32) uint32 {
	if symbol < 4 {
		return symbol
	}
	return (2 + symbol&1) << distExtra(symbol)
}
