package dedup

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"testing"
)

// Digests that begin alike are told apart, and the lowest pack is the original, in whatever order contents are added.
func TestFind(t *testing.T) {
	digest := func(first, last byte) (d [sha256.Size]byte) {
		d[0], d[31] = first, last
		return d
	}
	all := map[ID][sha256.Size]byte{
		{2, 0}: digest(1, 1), {0, 7}: digest(1, 1), {1, 3}: digest(1, 1), // the same
		{0, 1}: digest(1, 2), {1, 1}: digest(1, 3), // only alike
		{0, 2}: digest(2, 0), {3, 0}: digest(4, 0), {5, 9}: digest(4, 0),
	}
	want := map[ID]ID{{2, 0}: {0, 7}, {1, 3}: {0, 7}, {5, 9}: {3, 0}}
	for range 20 { // maps have another order each time
		var f Finder
		for id, d := range all {
			f.Add(id, d)
		}
		got := map[ID]ID{}
		err := f.Find(func(id ID) ([sha256.Size]byte, error) { return all[id], nil }, func(id, original ID) error {
			got[id] = original
			return nil
		})
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%v, want %v, error %v", got, want, err)
		}
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	find := func(digestErr, sameErr error) error {
		var f Finder
		for i := range uint32(2) {
			f.Add(ID{i, 0}, [sha256.Size]byte{})
		}
		return f.Find(func(ID) (d [sha256.Size]byte, err error) { return d, digestErr }, func(_, _ ID) error { return sameErr })
	}
	for _, err := range []error{find(broken, nil), find(nil, broken)} {
		if !errors.Is(err, broken) {
			t.Error(fmt.Sprint("error ", err))
		}
	}
}
