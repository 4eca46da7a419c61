package layerpack

import (
	"crypto/sha256"
	"encoding/binary"
)

// contentTable holds the records of a pack that is being written and finds them by digest. It takes about 70 bytes a
// content, since it is what grows with the number of files.
type contentTable struct {
	records pages[record]
	slots   []uint32 // open addressing by the digest's first bytes; a record's number + 1, or 0
}

// find is the number of the content with the digest.
func (t *contentTable) find(digest [sha256.Size]byte) (uint32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	n := t.slots[t.slot(digest)]
	return n - 1, n > 0
}

// add adds r, whose digest the table does not have yet, and returns its number.
func (t *contentTable) add(r record) uint32 {
	if 4*(t.records.n+1) > 3*len(t.slots) {
		t.slots = make([]uint32, max(1024, 2*len(t.slots)))
		for i := range t.records.n {
			t.slots[t.slot(t.records.at(i).digest)] = uint32(i + 1)
		}
	}
	t.records.push(r)
	t.slots[t.slot(r.digest)] = uint32(t.records.n)
	return uint32(t.records.n - 1)
}

// slot is where the digest is or belongs.
func (t *contentTable) slot(digest [sha256.Size]byte) int {
	mask := len(t.slots) - 1
	i := int(binary.LittleEndian.Uint32(digest[:])) & mask
	for t.slots[i] > 0 && t.records.at(int(t.slots[i]-1)).digest != digest {
		i = (i + 1) & mask
	}
	return i
}
