package zstdblock

import "math/bits"

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
	shift  uint
	base   uint32 // added to positions, so that entries of earlier frames are too small
	size   uint32
	near   [][]uint32 // by step: distance of the nearest place, 0 for none
	list   []candidate
	start  []uint32 // list[start[i]:start[i+1]] belongs to position first+i
	first  int
}

const (
	posBits = 24
	posMask = 1<<posBits - 1
	padding = 64 // zero bytes behind the input that loads may touch

	prime1 = 0x9e3779b185ebca87
	prime2 = 0xc2b2ae3d27d4eb4f
)

func newPrefixFinder(steps []int, nice int, maxBlock int) *prefixFinder {
	log := uint(bits.Len(uint(maxBlock - 1)))
	log = min(max(log, 10), uint(envInt("ZLOG", 16)))
	f := &prefixFinder{nice: nice, steps: steps, shift: 64 - log, base: 1}
	n := min(maxBlock, maxZstdBlock)
	for range steps {
		f.tables = append(f.tables, make([]uint32, 1<<log))
		f.near = append(f.near, make([]uint32, n))
	}
	f.list = make([]candidate, n*len(steps)+1)
	f.start = make([]uint32, n+1)
	return f
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

// find lists the candidates of buf[lo:hi]; buf ends with padding that is not input.
func (f *prefixFinder) find(buf []byte, lo, hi int) {
	for k, l := range f.steps {
		if l <= 8 {
			nearest(f.near[k][:hi-lo], f.tables[k], buf[lo:], f.base+uint32(lo), uint32(lo), 64-8*uint(l), f.shift)
		} else {
			nearestLong(f.near[k][:hi-lo], f.tables[k], buf[lo:], f.base+uint32(lo), uint32(lo), l-8, f.shift)
		}
	}
	f.collect(buf, lo, hi)
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

// collect turns the nearest places into candidates of growing length.
func (f *prefixFinder) collect(buf []byte, lo, hi int) {
	f.first = lo
	n := uint32(0)
	for i := lo; i < hi; i++ {
		f.start[i-lo] = n
		best := uint32(2)
		for k, l := range f.steps {
			d := f.near[k][i-lo]
			if best >= uint32(l) || d == 0 {
				continue
			}
			m := uint32(matchLen(buf, i-int(d), i, hi))
			if m > best {
				best = m
				f.list[n] = candidate{m, d}
				n++
			}
		}
		if best >= uint32(f.nice) {
			end := min(hi, i+int(best))
			for i++; i < end; i++ {
				f.start[i-lo] = n
			}
			i--
		}
	}
	f.start[hi-lo] = n
}

// at returns the candidates of position i, longer ones later.
func (f *prefixFinder) at(i int) []candidate {
	i -= f.first
	return f.list[f.start[i]:f.start[i+1]]
}
