package packfile

import (
	"cmp"
	"io"
)

// windowSize is what a Window holds unless it says otherwise, in bytes.
const windowSize = 64 << 10

// Window is a part of a section of a file, kept for reads near the last one. It is not safe for concurrent use.
type Window struct {
	F       io.ReaderAt
	At, End int64 // of the section in the file
	Size    int   // most bytes held, 0 for 64 KiB; less suits reads that are far from each other
	start   int64 // of buf in the section
	buf     []byte
}

// Read is n bytes, at most Size, at offset off of the section, valid until the next read.
func (w *Window) Read(off int64, n int) ([]byte, error) {
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		if off < 0 || off+int64(n) > w.End-w.At {
			return nil, ErrDamaged
		}
		if w.buf == nil {
			w.buf = make([]byte, cmp.Or(w.Size, windowSize))
		}
		w.start = off
		w.buf = w.buf[:min(int64(cap(w.buf)), w.End-w.At-off)]
		if _, err := w.F.ReadAt(w.buf, w.At+off); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	i := off - w.start
	return w.buf[i : i+int64(n)], nil
}
