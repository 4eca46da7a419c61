package deflate

import (
	"math/bits"

	"github.com/fledge-build/fledge/internal/lz77"
)

// finder holds data and tells where the bytes at a position occurred before.
type finder struct {
	buf   []byte   // the window, the data, padding
	start int      // the data begins there
	end   int      // it ends there
	link  []uint16 // by position: distance of the nearest place with the same hash of four bytes, 0 for none
	near  []uint16 // the same for three bytes

	last4, last3   []uint32 // the last place and farthest, by hash
	shift4, shift3 uint     // bits of a product that are not in its hash
}

const (
	farthest = window + 1 // added to places in tables, so that their zeros are out of reach
	padding  = 16         // bytes behind the data that loads may touch
	prime    = 0x9e3779b1
)

func newFinder(chunk int) finder {
	size := window + chunk + padding
	log := uint(max(8, min(bits.Len(uint(chunk-1)), 16)))
	log3 := min(log, 14)
	return finder{
		buf: make([]byte, size), link: make([]uint16, size), near: make([]uint16, size),
		last4: make([]uint32, 1<<log), shift4: 32 - log,
		last3: make([]uint32, 1<<log3), shift3: 32 - log3,
	}
}

// load takes new data and what goes before it.
func (f *finder) load(before, data []byte) {
	f.start = copy(f.buf, before)
	f.end = f.start + copy(f.buf[f.start:], data)
	clear(f.buf[f.end : f.end+padding])
	clear(f.last4)
	clear(f.last3)
	f.connect()
}

// connect makes the links.
func (f *finder) connect() {
	buf, last4, last3 := f.buf, f.last4, f.last3
	link := f.link[:f.end]
	near := f.near[:f.end]
	for i := range link {
		v := load32(buf, i)
		at := uint32(i) + farthest
		e := &last4[v*prime>>(f.shift4&31)]
		d := at - *e
		*e = at
		if d > window {
			d = 0
		}
		link[i] = uint16(d)
		e = &last3[v<<8*prime>>(f.shift3&31)]
		d = at - *e
		*e = at
		if d > window {
			d = 0
		}
		near[i] = uint16(d)
	}
}

// near3 returns how far away the nearest place with the same three bytes as i is, 0 for none or one beyond far. The
// position must have three bytes.
func (f *finder) near3(i, far int) (dist int) {
	d := int(f.near[i])
	if uint(d-1) >= uint(far) || (load32(f.buf, i-d)^load32(f.buf, i))<<8 != 0 {
		return 0
	}
	return d
}

// match is a place with the same bytes as a position.
type match struct {
	length uint16
	dist   uint16 // less 1
}

// matches are matches of one position, each longer than the one before.
type matches struct {
	list [maxMatch]match
	n    int
}

func (m *matches) add(length, dist int) {
	m.list[m.n] = match{uint16(length), uint16(dist - 1)}
	m.n++
}

// search adds the matches at i to found that are longer than best, at least minMatch, and than all nearer ones, and end
// before hi. It looks at the depth nearest places that may have four bytes in common.
func (f *finder) search(found *matches, i, hi, best, depth, nice int) {
	buf, link := f.buf, f.link
	limit := min(i+maxMatch, hi)
	if i+best >= limit {
		return
	}
	v, tail := load32(buf, i), load32(buf, i+best-3)
	lo := i - window
	for j := i; depth > 0; depth-- {
		d := int(link[j])
		j -= d
		if d == 0 || j < lo {
			break
		}
		if load32(buf, j+best-3) != tail || load32(buf, j) != v {
			continue
		}
		if m := 4 + lz77.MatchLen(buf, j+4, i+4, limit); m > best {
			best = m
			found.add(m, i-j)
			if m >= nice || i+m >= limit {
				break
			}
			tail = load32(buf, i+best-3)
		}
	}
}
