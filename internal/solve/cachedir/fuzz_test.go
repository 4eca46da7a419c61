package cachedir

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func FuzzDecodeIndex(f *testing.F) {
	b, _ := encodeIndex([]entry{{"family", "key", digest.FromString("x").String(), 5, true}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeIndex(b)
		if err != nil {
			return
		}
		if b, err = encodeIndex(list); err != nil {
			t.Fatal(err)
		}
		again, err := decodeIndex(b)
		if err != nil || !slices.Equal(list, again) {
			t.Errorf("%+v becomes %+v, %v", list, again, err)
		}
		for _, e := range list {
			_ = hash(e.manifest)
		}
	})
}

func FuzzBlobsOf(f *testing.F) {
	files, manifest := cacheOf(f, "one", "one", "two")
	f.Add([]byte(files[manifest]))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := blobsOf(b)
		if err != nil {
			return
		}
		for i, d := range list {
			if strings.Contains(hash(d), "/") || slices.Contains(list[:i], d) {
				t.Errorf("digests %q", list)
			}
		}
	})
}
