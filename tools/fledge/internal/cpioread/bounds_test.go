package cpioread

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cpio"
)

// TestManyLongNames: what is kept of a small file that unpacks to long names has a bound.
func TestManyLongNames(t *testing.T) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := cpio.NewWriter(z)
	long := strings.Repeat("/", 4000)
	for i := range maxNames/4000 + 1 {
		if err := w.WriteHeader(&cpio.Header{Name: fmt.Sprint(long, i), Mode: cpio.TypeFIFO}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err == nil || !strings.Contains(err.Error(), errNames.Error()) || b.Len() > 32<<20 {
		t.Errorf("%d bytes: %v", b.Len(), err)
	}
}
