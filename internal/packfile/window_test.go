package packfile

import (
	"bytes"
	"errors"
	"testing"
)

func TestWindow(t *testing.T) {
	const size = 56
	data := make([]byte, 3*windowSize+size)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	w := Window{F: bytes.NewReader(append([]byte("head"), append(data, "tail"...)...)), At: 4, End: 4 + int64(len(data))}
	last := len(data)/size - 1
	for _, i := range []int{0, 1, 2500, last, 2, 1023, 1024, 1025, windowSize / size, last} {
		got, err := w.Read(int64(i*size), size)
		if err != nil || !bytes.Equal(got, data[i*size:][:size]) {
			t.Errorf("record %d: error %v", i, err)
		}
	}
	for _, off := range []int64{-1, int64(len(data)) - size + 1} {
		if _, err := w.Read(off, size); !errors.Is(err, ErrDamaged) {
			t.Errorf("read at %d, outside of the section: error %v", off, err)
		}
	}
}
