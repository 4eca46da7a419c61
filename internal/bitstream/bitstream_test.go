package bitstream

import (
	"bytes"
	"testing"
)

func TestWriter(t *testing.T) {
	w := Writer{Buf: make([]byte, 24)}
	for _, f := range []struct {
		v uint64
		n uint
	}{{1, 1}, {0, 2}, {0x1f, 5}, {0x2345, 16}, {1<<33 - 1, 33}} {
		w.Add(f.v, f.n)
	}
	w.Flush()
	w.Add(0x2a<<55, 62) // as many as may gather
	w.Flush()
	want := []byte{0xf9, 0x45, 0x23, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0}
	if got := w.Buf[:w.Pos]; !bytes.Equal(got, want) || w.N != 7 || w.Acc != 0x2a {
		t.Errorf("% x, %d bits %x left; want % x", got, w.N, w.Acc, want)
	}
}
