package ext4

import (
	"bytes"
	"io"
	"os"
)

// Sparse writes a file and leaves holes where whole blocks are zeros.
type Sparse struct {
	f    *os.File
	size int64
}

// NewSparse writes to f, which is empty, from its beginning.
func NewSparse(f *os.File) *Sparse { return &Sparse{f: f} }

// Write appends b.
func (s *Sparse) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n := blockRun(b[done:], false)
		if n > 0 {
			if _, err := s.f.WriteAt(b[done:done+n], s.size); err != nil {
				return done, err
			}
		} else {
			n = blockRun(b[done:], true)
		}
		done += n
		s.size += int64(n)
	}
	return len(b), nil
}

// Close gives the file its size. It does not close it.
func (s *Sparse) Close() error { return s.f.Truncate(s.size) }

var zeroBlock [blockSize]byte

// blockRun is the length of the blocks at the front of b that are all zeros, or all not.
func blockRun(b []byte, zeros bool) (n int) {
	for n < len(b) {
		size := min(blockSize, len(b)-n)
		if bytes.Equal(b[n:n+size], zeroBlock[:size]) != zeros {
			break
		}
		n += size
	}
	return n
}

var _ io.WriteCloser = (*Sparse)(nil)
