package zstdblock

import (
	"math/bits"

	"github.com/fledge-build/fledge/internal/lz77"
)

// candidate is an earlier place with the same bytes.
type candidate struct{ len, off uint32 }

// prefixFinder finds, for every position, the nearest earlier place that shares a prefix, for a ladder of prefix
// lengths. One table per length that remembers the last position answers exactly that, and unlike the steps of a tree
// or chain its look-ups do not wait for each other. Lengths are done one after the other, so that only one table at a
// time needs room in the cache.
type prefixFinder struct {
	nice   int // a match this long ends the search
	steps  []int
	tables [][]uint32 // position | tag << 24
	shift  []uint
	base   uint32 // added to positions, so that entries of earlier frames are too small
	size   uint32
	hops   int
	chain  []uint32 // distances of the longest step for the whole buffer; none without hops
}

// distances hold the distance of the nearest place for each position of a zstd block, by step; 0 for none. The
// longest step has the finder's chain instead, where there is one.
type distances [][]uint32

// found are the candidates of the positions of a zstd block.
type found struct {
	list  []candidate
	start []uint32 // list[start[i]:start[i+1]] belongs to position first+i
	first int
}

const (
	posBits = 24
	// perPosition bounds the candidates of a zstd block on average; real data has two to four.
	perPosition = 8
	posMask     = 1<<posBits - 1
	maxSteps    = 8  // of a ladder
	padding     = 64 // zero bytes behind the input that loads may touch

	prime1 = 0x9e3779b185ebca87
	prime2 = 0xc2b2ae3d27d4eb4f
)

// ladder is which prefix lengths to look for, ascending, and the sizes of their tables for blocks of 128 KiB.
type ladder struct {
	steps []int
	logs  []uint
}

// searchParams say how thoroughly to look for matches and to choose among them.
type searchParams struct {
	ladder
	hops    int  // further places of the longest prefix to try
	nice    int  // a match this long is taken at once, less than mlPriced
	passes  int  // parses of a zstd block, each with the statistics of the one before
	exhaust bool // price every length of a candidate
}

func newPrefixFinder(s searchParams, maxBlock int) *prefixFinder {
	f := &prefixFinder{nice: s.nice, hops: s.hops, steps: s.steps, base: 1}
	for _, log := range s.logs {
		log = tableLog(log, maxBlock)
		f.shift = append(f.shift, 64-log)
		f.tables = append(f.tables, make([]uint32, 1<<log))
	}
	if s.hops > 0 {
		f.chain = make([]uint32, maxBlock)
	}
	return f
}

// newDistances makes room for a zstd block of n bytes.
func (f *prefixFinder) newDistances(n int) distances {
	d := make(distances, len(f.steps))
	for k := range d {
		if k+1 < len(d) || f.hops == 0 {
			d[k] = make([]uint32, n)
		}
	}
	return d
}

// newFound makes room for a zstd block of n bytes, with each candidates a position on average.
func (f *prefixFinder) newFound(n, each int) *found {
	return &found{list: make([]candidate, n*each+len(f.steps)+f.hops), start: make([]uint32, n+1)}
}

// tableLog fits the size of a table that is meant for blocks of 128 KiB to another block size: up to four times as
// large, and never more than one slot a position.
func tableLog(log uint, maxBlock int) uint {
	need := uint(bits.Len(uint(maxBlock - 1)))
	if need > 17 {
		return log + min(need-17, 2)
	}
	return max(min(log, need), 8)
}

func (f *prefixFinder) begin(n int) {
	f.base += f.size
	f.size = uint32(n)
	if f.base+f.size > posMask {
		for _, t := range f.tables {
			clear(t)
		}
		f.base = 1
	}
}

// slide forgets the first n bytes of the buffer, which are those that begin was called for.
func (f *prefixFinder) slide(n int) {
	copy(f.chain, f.chain[min(n, len(f.chain)):])
	f.base += uint32(n)
	if f.base+f.size <= posMask {
		return
	}
	drop := f.base - 1
	for _, t := range f.tables {
		for i, e := range t {
			if e&posMask > drop {
				t[i] = e - drop
			} else {
				t[i] = 0
			}
		}
	}
	f.base = 1
}

// row is where the distances of step k for lo to hi are.
func (f *prefixFinder) row(d distances, k, lo, hi int) []uint32 {
	if k+1 == len(f.steps) && f.hops > 0 {
		return f.chain[lo:hi]
	}
	return d[k][:hi-lo]
}

// look sets the distances of step k for buf[lo:hi]; buf goes on behind hi for at least padding bytes, of zeros where
// the input ends.
func (f *prefixFinder) look(d distances, k int, buf []byte, lo, hi int) {
	out := f.row(d, k, lo, hi)
	if l := f.steps[k]; l <= 8 {
		nearest(out, f.tables[k], buf[lo:], f.base+uint32(lo), uint32(lo), 64-8*uint(l), f.shift[k])
	} else {
		nearestLong(out, f.tables[k], buf[lo:], f.base+uint32(lo), uint32(lo), l-8, f.shift[k])
	}
}

// nearest sets out to the distances of the last places with the same low 64-drop bits.
func nearest(out, table []uint32, buf []byte, base, lo uint32, drop, shift uint) {
	for i := range out {
		h := load64(buf, i) << (drop & 63) * prime1
		tag := uint32(h>>16) &^ posMask
		e := &table[h>>(shift&63)]
		at := base + uint32(i)
		d := at - (*e ^ tag)
		*e = at | tag
		if d > lo+uint32(i) {
			d = 0
		}
		out[i] = d
	}
}

// nearestLong does the same for eight bytes and more.
func nearestLong(out, table []uint32, buf []byte, base, lo uint32, more int, shift uint) {
	ahead := buf[more:]
	for i := range out {
		h := (load64(buf, i) ^ bits.RotateLeft64(load64(ahead, i)*prime2, 29)) * prime1
		tag := uint32(h>>16) &^ posMask
		e := &table[h>>(shift&63)]
		at := base + uint32(i)
		d := at - (*e ^ tag)
		*e = at | tag
		if d > lo+uint32(i) {
			d = 0
		}
		out[i] = d
	}
}

// collect turns the nearest places into candidates of growing length. Places before buf are passed over: it may have
// slid since they were found.
func (f *prefixFinder) collect(out *found, d distances, buf []byte, lo, hi int) {
	out.first = lo
	n := uint32(0)
	start := out.start[:hi-lo+1]
	deep := uint32(f.steps[len(f.steps)-1])
	if f.hops == 0 {
		deep = infinite
	}
	full := len(out.list) - len(f.steps) - f.hops
	var rows [maxSteps][]uint32
	for k := range f.steps {
		rows[k] = f.row(d, k, lo, hi)
	}
	skip := lo // positions before it lie in a match of nice or more
	for x := 0; x < hi-lo; x++ {
		i := lo + x
		start[x] = n
		if i < skip || int(n) >= full {
			continue
		}
		best := uint32(2)
		for k, l := range f.steps {
			d := rows[k][x]
			if d == 0 {
				if l > 4 {
					break // a longer prefix has no place either, but for what the tables forgot
				}
				continue
			}
			if best >= uint32(l) || int(d) > i {
				continue
			}
			if m := uint32(lz77.MatchLen(buf, i-int(d), i, hi)); m > best {
				best = m
				out.list[n] = candidate{m, d}
				n++
			}
		}
		if best >= deep && best < uint32(f.nice) {
			best, n = f.follow(out.list, buf, i, hi, best, n)
		}
		if best >= uint32(f.nice) {
			skip = i + int(best)
		}
	}
	start[hi-lo] = n
}

// follow tries earlier places of the longest prefix at i for matches longer than best, and appends them to list, which
// has n.
func (f *prefixFinder) follow(list []candidate, buf []byte, i, hi int, best, n uint32) (uint32, uint32) {
	j := i
	for range f.hops {
		d := int(f.chain[j])
		if d == 0 || d > j {
			break
		}
		j -= d
		if load32(buf, j+int(best)-3) != load32(buf, i+int(best)-3) {
			continue
		}
		if m := uint32(lz77.MatchLen(buf, j, i, hi)); m > best {
			best = m
			list[n] = candidate{m, uint32(i - j)}
			n++
		}
	}
	return best, n
}

// at returns the candidates of position i, longer ones later.
func (f *found) at(i int) []candidate {
	i -= f.first
	return f.list[f.start[i]:f.start[i+1]]
}
