package cpiopack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

// TestXzDictionary: a segment gets no more memory than its dictionary may have, whatever its header asks for.
func TestXzDictionary(t *testing.T) {
	var b bytes.Buffer
	w, err := (&Encoder{spec: spec(t, "xz")}).writer(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "text"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	const block = 12 // behind the header of the stream; the size of the dictionary is in its fifth byte
	file[block+4] = 40
	end := block + int(file[block])*4
	binary.LittleEndian.PutUint32(file[end:], crc32.ChecksumIEEE(file[block:end]))
	fuzztest.Limit(t, 64<<20, func() {
		r, err := decompress(spec(t, "xz"), bytes.NewReader(file))
		if err == nil {
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
		}
		if err == nil {
			t.Error("no error")
		}
	})
}
