package inflate

import (
	"fmt"
	"math/bits"
	"sync"
)

// A table is looked up with the next bits of the input. Codes longer than that lead to a subtable, which is looked up
// with the bits after them. An entry is
//
//	a literal      isLiteral | byte << 16 | bits of the code
//	a length or
//	a distance     base << 16 | bits of the code << 8 | bits of the code and its extra bits
//	a subtable     isOther | isSubtable | its place << 16
//	the end        isOther | isEnd | bits of the code
//	not a code     isOther
const (
	isLiteral  = 1 << 31
	isOther    = 1 << 15
	isSubtable = 1 << 14
	isEnd      = 1 << 13

	maxBits  = 15
	litBits  = 11 // looked up in the main tables
	distBits = 9
	litMore  = maxBits - litBits // looked up in the subtables
	distMore = maxBits - distBits

	litSymbols  = 286
	distSymbols = 30
	endSymbol   = 256

	// Each subtable has at least two of the symbols, since codes are complete.
	litSize  = 1<<litBits + litSymbols/2<<litMore
	distSize = 1<<distBits + distSymbols/2<<distMore
)

// litEntries and distEntries are the entries of the symbols without the bits of their codes (RFC 1951, section 3.2.5).
// The fixed code has two more symbols of each kind, which must not occur.
var litEntries, distEntries = func() (lit [litSymbols + 2]uint32, dist [distSymbols + 2]uint32) {
	for i := range uint32(endSymbol) {
		lit[i] = isLiteral | i<<16
	}
	lit[endSymbol] = isOther | isEnd
	base := uint32(3)
	for i := range 28 {
		extra := uint32(max(0, i/4-1))
		lit[endSymbol+1+i] = base<<16 | extra
		base += 1 << extra
	}
	lit[litSymbols-1] = maxMatch << 16
	base = 1
	for i := range distSymbols {
		extra := uint32(max(0, i/2-1))
		dist[i] = base<<16 | extra
		base += 1 << extra
	}
	lit[litSymbols], lit[litSymbols+1] = isOther, isOther
	dist[distSymbols], dist[distSymbols+1] = isOther, isOther
	return lit, dist
}()

// build fills a table with the canonical code of the lengths. Codes that are not complete are refused, but for those of
// one symbol or none, as zlib does.
func build(table []uint32, mainBits int, lengths []uint8, entries []uint32) error {
	var count [maxBits + 1]int
	for _, l := range lengths {
		count[l]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	var next [maxBits + 1]uint16 // the next code of each length
	left := 1
	for l := 1; l <= maxBits; l++ {
		next[l] = (next[l-1] + uint16(count[l-1])) << 1
		if left = left<<1 - count[l]; left < 0 {
			return fmt.Errorf("%w: too many codes", errCorrupt)
		}
	}
	if left > 0 && (used > 1 || used == 1 && count[1] == 0) {
		return fmt.Errorf("%w: too few codes", errCorrupt)
	}
	main := table[:1<<mainBits]
	for i := range main {
		main[i] = isOther
	}
	free := len(main) // where the next subtable goes
	for symbol, length := range lengths {
		l := int(length)
		if l == 0 {
			continue
		}
		code := int(bits.Reverse16(next[l]) >> (16 - l)) // codes are read from their other end
		next[l]++
		e := withCode(entries[symbol], uint32(l))
		if l <= mainBits {
			for i := code; i < len(main); i += 1 << l {
				main[i] = e
			}
			continue
		}
		link := &main[code&(len(main)-1)]
		if *link == isOther {
			*link = isOther | isSubtable | uint32(free)<<16
			free += 1 << (maxBits - mainBits)
		}
		sub := table[*link>>16:][:1<<(maxBits-mainBits)]
		for i := code >> mainBits; i < len(sub); i += 1 << (l - mainBits) {
			sub[i] = e
		}
	}
	return nil
}

// withCode completes an entry with the bits of its code.
func withCode(e, l uint32) uint32 {
	if e&(isLiteral|isOther) != 0 {
		return e | l
	}
	return e | l<<8 + l
}

// fixedTables are those of the fixed code (RFC 1951, section 3.2.6).
var fixedTables = sync.OnceValues(func() (lit [litSize]uint32, dist [distSize]uint32) {
	var lengths [litSymbols + 2]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	build(lit[:], litBits, lengths[:], litEntries[:])
	var five [distSymbols + 2]uint8
	for i := range five {
		five[i] = 5
	}
	build(dist[:], distBits, five[:], distEntries[:])
	return lit, dist
})

// lengthOrder is the order in which the lengths of the code of code lengths come (RFC 1951, section 3.2.7).
var lengthOrder = [lengthSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

const (
	lengthSymbols = 19
	lengthBits    = 7 // of the longest code of a code length
)

// lengthEntries are entries as if the code lengths were bytes.
var lengthEntries = func() (entries [lengthSymbols]uint32) {
	for i := range entries {
		entries[i] = isLiteral | uint32(i)<<16
	}
	return entries
}()

// readTables reads the codes of a block (RFC 1951, section 3.2.7).
func (f *inflater) readTables() error {
	head, err := f.take(14)
	if err != nil {
		return err
	}
	lits, dists, n := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if lits > litSymbols || dists > distSymbols {
		return fmt.Errorf("%w: too many symbols", errCorrupt)
	}
	var order [lengthSymbols]uint8
	for _, symbol := range lengthOrder[:n] {
		l, err := f.take(3)
		if err != nil {
			return err
		}
		order[symbol] = uint8(l)
	}
	var table [1 << lengthBits]uint32
	if err := build(table[:], lengthBits, order[:], lengthEntries[:]); err != nil {
		return err
	}
	var lengths [litSymbols + distSymbols]uint8
	if err := f.readLengths(lengths[:lits+dists], &table); err != nil {
		return err
	}
	if err := build(f.lit[:], litBits, lengths[:lits], litEntries[:]); err != nil {
		return err
	}
	return build(f.dist[:], distBits, lengths[lits:lits+dists], distEntries[:])
}

// readLengths reads code lengths, which are themselves encoded with table and repeated.
func (f *inflater) readLengths(lengths []uint8, table *[1 << lengthBits]uint32) error {
	for i := 0; i < len(lengths); {
		symbol, err := f.lengthSymbol(table)
		if err != nil {
			return err
		}
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		bits, least, repeat := uint(7), 11, uint8(0)
		switch symbol {
		case 16:
			if i == 0 {
				return fmt.Errorf("%w: repeated length without one before", errCorrupt)
			}
			bits, least, repeat = 2, 3, lengths[i-1]
		case 17:
			bits, least = 3, 3
		}
		more, err := f.take(bits)
		if err != nil {
			return err
		}
		count := least + int(more)
		if count > len(lengths)-i {
			return fmt.Errorf("%w: too many code lengths", errCorrupt)
		}
		for ; count > 0; count-- {
			lengths[i] = repeat
			i++
		}
	}
	return nil
}

// lengthSymbol reads one symbol of the code of code lengths.
func (f *inflater) lengthSymbol(table *[1 << lengthBits]uint32) (uint8, error) {
	for {
		e := table[f.bits&(1<<f.n-1)&(1<<lengthBits-1)]
		l := uint(e & 63)
		if e&isLiteral != 0 && l <= f.n {
			f.bits >>= l
			f.n -= l
			return uint8(e >> 16), nil
		}
		if f.n >= lengthBits {
			return 0, fmt.Errorf("%w: code length without a code", errCorrupt)
		}
		if err := f.need(f.n + 1); err != nil {
			return 0, err
		}
	}
}
