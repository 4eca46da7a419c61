package zstdblock

import "math/bits"

// candidate is an earlier place with the same bytes.
type candidate struct{ len, off uint32 }

// prefixFinder finds, for every position, the nearest earlier place that shares a prefix, for a ladder of prefix
// lengths. One table per length that remembers the last position answers exactly that, and unlike the steps of a tree
// or chain its look-ups do not wait for each other.
type prefixFinder struct {
	nice   int // a match this long ends the search
	steps  []int
	tables [][]uint32 // position | tag << 24
	shift  uint
	base   uint32 // added to positions, so that entries of earlier frames are too small
	size   uint32
	list   []candidate
	start  []uint32 // list[start[i]:start[i+1]] belongs to position first+i
	first  int
}

const (
	posBits = 24
	posMask = 1<<posBits - 1
	padding = 64 // zero bytes behind the input that loads may touch
)

func newPrefixFinder(steps []int, nice int, maxBlock int) *prefixFinder {
	log := uint(bits.Len(uint(maxBlock - 1)))
	log = min(max(log, 10), 17)
	f := &prefixFinder{nice: nice, steps: steps, shift: 64 - log, base: 1}
	for range steps {
		f.tables = append(f.tables, make([]uint32, 1<<log))
	}
	n := min(maxBlock, maxZstdBlock)
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
	f.first = lo
	n := uint32(0)
	base := f.base
	for i := lo; i < hi; i++ {
		f.start[i-lo] = n
		v := load64(buf, i)
		best := uint32(2)
		at := base + uint32(i)
		for k, l := range f.steps {
			var h uint64
			if l <= 8 {
				h = (v << (64 - 8*uint(l))) * 0x9e3779b185ebca87
			} else {
				w := load64(buf, i+l-8)
				h = (v ^ bits.RotateLeft64(w, 29)*0xc2b2ae3d27d4eb4f) * 0x9e3779b185ebca87
			}
			t := f.tables[k]
			e := &t[h>>f.shift]
			old := *e
			tag := uint32(h>>24) << posBits
			*e = at | tag
			c := old & posMask
			if best >= uint32(l) || c < base || (old^tag)>>posBits != 0 {
				continue
			}
			m := uint32(matchLen(buf, int(c-base), i, hi))
			if m > best {
				best = m
				f.list[n] = candidate{m, at - c}
				n++
			}
		}
		if best >= uint32(f.nice) {
			for i++; i < hi && best > 1; i++ {
				best--
				f.start[i-lo] = n
				if best&3 == 0 {
					f.insert(buf, i)
				}
			}
			i--
		}
	}
	f.start[hi-lo] = n
}

func (f *prefixFinder) insert(buf []byte, i int) {
	v := load64(buf, i)
	at := f.base + uint32(i)
	for k, l := range f.steps {
		var h uint64
		if l <= 8 {
			h = (v << (64 - 8*uint(l))) * 0x9e3779b185ebca87
		} else {
			w := load64(buf, i+l-8)
			h = (v ^ bits.RotateLeft64(w, 29)*0xc2b2ae3d27d4eb4f) * 0x9e3779b185ebca87
		}
		f.tables[k][h>>f.shift] = at | uint32(h>>24)<<posBits
	}
}

// at returns the candidates of position i, longer ones later.
func (f *prefixFinder) at(i int) []candidate {
	i -= f.first
	return f.list[f.start[i]:f.start[i+1]]
}
