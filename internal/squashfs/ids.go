package squashfs

import "fmt"

// maxIDs is what fits into the superblock's 16-bit count.
const maxIDs = 1<<16 - 1

// ids numbers user and group ids in the order of their first use.
type ids struct {
	list   []uint32
	number map[uint32]uint16
}

func (t *ids) add(id uint32) (uint16, error) {
	if n, ok := t.number[id]; ok {
		return n, nil
	}
	if len(t.list) == maxIDs {
		return 0, fmt.Errorf("more than %d different user and group ids, which is all that squashfs can hold", maxIDs)
	}
	if t.number == nil {
		t.number = map[uint32]uint16{}
	}
	n := uint16(len(t.list))
	t.list, t.number[id] = append(t.list, id), n
	return n, nil
}

// table is the id lookup table.
func (t *ids) table(p *pool) (*table, error) {
	var b []byte
	for _, id := range t.list {
		b = le.AppendUint32(b, id)
	}
	out := newTable("id table", p)
	return out, out.append(b)
}
