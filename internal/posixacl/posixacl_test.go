package posixacl

import (
	"slices"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/imagetest"
)

func TestParse(t *testing.T) {
	good := imagetest.ACL(1, 6, 0, 2, 7, 1, 2, 0, 2, 4, 4, 0, 8, 7, 1, 16, 7, 0, 32, 4, 0)
	list, err := Parse([]byte(good))
	if err != nil || len(list) != 7 || !slices.Equal(list[1:3], []Entry{{user, 7, 1}, {user, 0, 2}}) || list[3].Named() {
		t.Errorf("%v, error %v", list, err)
	}
	for name, value := range map[string]string{
		"nothing": "", "cut off": good[:len(good)-1], "another version": "\x01" + good[1:], "no entries": imagetest.ACL(),
		"entries missing": imagetest.ACL(1, 6, 0), "no mask": imagetest.ACL(1, 7, 0, 2, 7, 5, 4, 7, 0, 32, 0, 0),
		"permissions": imagetest.ACL(1, 8, 0, 4, 7, 0, 32, 0, 0), "order": imagetest.ACL(4, 7, 0, 1, 7, 0, 32, 0, 0),
		"twice": imagetest.ACL(1, 7, 0, 1, 7, 0, 4, 7, 0, 32, 0, 0), "unknown tag": imagetest.ACL(1, 7, 0, 4, 7, 0, 32, 0, 0, 64, 0, 0),
		"no such user": imagetest.ACL(1, 7, 0, 2, 7, 1<<32-1, 4, 7, 0, 16, 7, 0, 32, 0, 0),
	} {
		if list, err := Parse([]byte(value)); err == nil {
			t.Errorf("%s: %v", name, list)
		}
	}
}

// FuzzParse: what is taken has an entry for each eight bytes, and those that must be there.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x05\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, value []byte) {
		fuzztest.Limit(t, 1<<20+20*len(value), func() {
			list, err := Parse(value)
			if err == nil && (len(list) < 3 || headSize+len(list)*entrySize != len(value)) {
				t.Errorf("%d entries of %d bytes", len(list), len(value))
			}
		})
	})
}
