package packfile

import "io"

// windowSize is what a Window holds, in bytes.
const windowSize = 64 << 10

// Window is a part of a section of a file, kept for reads near the last one. It is not safe for concurrent use.
type Window struct {
	F       io.ReaderAt
	At, End int64 // of the section in the file
	start   int64 // of buf in the section
	buf     []byte
}

// Read is n bytes, at most 64 KiB, at offset off of the section, valid until the next read.
func (w *Window) Read(off int64, n int) ([]byte, error) {
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		if off < 0 || off+int64(n) > w.End-w.At {
			return nil, ErrDamaged
		}
		if w.buf == nil {
			w.buf = make([]byte, windowSize)
		}
		w.start = off
		w.buf = w.buf[:min(windowSize, w.End-w.At-off)]
		if _, err := w.F.ReadAt(w.buf, w.At+off); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	i := off - w.start
	return w.buf[i : i+int64(n)], nil
}
