// Package dedup finds contents that several layer packs have.
package dedup

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// ID names a content of all packs.
type ID struct{ Pack, Content uint32 }

// Finder gathers the contents that an image needs. It takes 16 bytes for each.
//
// Most contents are unique and show it by the first bytes of their hash, which are compared first: a hash of each in a
// map would take the memory of the rest of the link.
type Finder struct{ all []prefixed }

type prefixed struct {
	prefix uint64
	id     ID
}

// Add adds a content. Within a pack none may have the digest of another.
func (f *Finder) Add(id ID, digest [sha256.Size]byte) {
	f.all = append(f.all, prefixed{binary.LittleEndian.Uint64(digest[:]), id})
}

// Find calls same for each content that a pack with a lower number has too, with the one of the lowest. digest is asked
// for the digests of few contents again; its error ends the search.
func (f *Finder) Find(digest func(ID) ([sha256.Size]byte, error), same func(id, original ID) error) error {
	slices.SortFunc(f.all, func(a, b prefixed) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.id.Pack, b.id.Pack))
	})
	for len(f.all) > 0 {
		n := 1
		for n < len(f.all) && f.all[n].prefix == f.all[0].prefix {
			n++
		}
		if err := compare(f.all[:n], digest, same); err != nil {
			return err
		}
		f.all = f.all[n:]
	}
	return nil
}

// compare finds the same contents among those whose digests begin alike.
func compare(list []prefixed, digest func(ID) ([sha256.Size]byte, error), same func(id, original ID) error) error {
	if len(list) == 1 {
		return nil
	}
	first := map[[sha256.Size]byte]ID{}
	for _, p := range list {
		sum, err := digest(p.id)
		if err != nil {
			return err
		}
		original, ok := first[sum]
		if !ok {
			first[sum] = p.id
		} else if err := same(p.id, original); err != nil {
			return err
		}
	}
	return nil
}
