package lz4fill

import (
	"bytes"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// FuzzFill packs repetitions of its input into blocks of any limit, which a library that was written independently
// unpacks; blocks that are cut do so too.
func FuzzFill(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabc, and the end"), uint16(300), uint16(20))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 1}, 5000), uint16(9), uint16(16384))
	e := &Encoder{}
	f.Fuzz(func(t *testing.T, part []byte, times, limit uint16) {
		src := bytes.Repeat(part, int(times)%512+1)
		src = src[:min(len(src), 1<<18)]
		check := func(block []byte, used, limit int) {
			got := make([]byte, used)
			n, err := lz4.UncompressBlock(block, got)
			if err != nil || n != used || !bytes.Equal(got, src[:used]) || len(block) > limit {
				t.Errorf("limit %d: %d bytes of %d in %d, error %v", limit, n, used, len(block), err)
			}
		}
		room := 16 + int(limit)
		out, used := e.Fill(nil, src, room)
		check(out, used, room)
		for pages := 1; pages*PageSize < len(out); pages++ {
			cut, used := e.Cut(nil, out, src, pages)
			check(cut, used, pages*PageSize)
		}
	})
}
