// Package sparsefile writes files that take no space where they are zeros.
package sparsefile

import (
	"bytes"
	"os"
)

// blockSize is that of the holes: the block size of the file systems that the files lie on, in bytes.
const blockSize = 4096

// Writer writes a file from front to back and leaves holes where whole blocks are zeros.
type Writer struct {
	f    *os.File
	size int64
}

// New writes to f, which must be empty.
func New(f *os.File) *Writer { return &Writer{f: f} }

// Write appends b.
func (w *Writer) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n := w.run(b[done:], false)
		if n > 0 {
			if _, err := w.f.WriteAt(b[done:done+n], w.size); err != nil {
				return done, err
			}
		} else {
			n = w.run(b[done:], true)
		}
		done += n
		w.size += int64(n)
	}
	return len(b), nil
}

// Close gives the file its size, which may end in a hole. It does not close the file.
func (w *Writer) Close() error { return w.f.Truncate(w.size) }

var zeros [blockSize]byte

// run is the length of the blocks at the front of b that are all zeros, or all not.
func (w *Writer) run(b []byte, zero bool) (n int) {
	for n < len(b) {
		size := min(blockSize-int((w.size+int64(n))%blockSize), len(b)-n)
		if bytes.Equal(b[n:n+size], zeros[:size]) != zero {
			break
		}
		n += size
	}
	return n
}
