package cli

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/fledge-build/fledge/internal/sparsefile"
)

// WriteWithDigest makes the file at out with what write puts out, and the file at digestOut with its digest and a
// newline. Both appear or none: what was there before stays when write or anything after it fails.
func WriteWithDigest(out, digestOut string, write func(w io.Writer) error) (digest string, err error) {
	return writeWithDigest(out, digestOut, false, func(o *Output) error { return write(o) })
}

// WriteFileWithDigest is WriteWithDigest for who has to read back what was written.
func WriteFileWithDigest(out, digestOut string, write func(o *Output) error) (digest string, err error) {
	return writeWithDigest(out, digestOut, false, write)
}

// WriteSparseWithDigest is WriteWithDigest for a file that takes no space where it is zeros.
func WriteSparseWithDigest(out, digestOut string, write func(w io.Writer) error) (digest string, err error) {
	return writeWithDigest(out, digestOut, true, func(o *Output) error { return write(o) })
}

func writeWithDigest(out, digestOut string, sparse bool, write func(o *Output) error) (digest string, err error) {
	published := false
	err = WriteFile(out, func(f *os.File) error {
		to, finish := io.Writer(f), func() error { return nil }
		if sparse {
			holes := sparsefile.New(f)
			to, finish = holes, holes.Close
		}
		o := newOutput(to, f)
		err := write(o)
		sum, closeErr := o.close()
		err = cmp.Or(err, closeErr)
		if err == nil {
			err = finish()
		}
		digest = fmt.Sprintf("sha256:%x", sum)
		if err != nil || digestOut == "" {
			return err
		}
		err = WriteBuffered(digestOut, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, digest)
			return err
		})
		published = err == nil
		return err
	})
	if err != nil && published { // the digest of nothing
		os.Remove(digestOut)
	}
	return digest, err
}

// Output is a file that is written from front to back and computes the SHA-256 of its bytes at the same time.
type Output struct {
	to    io.Writer // the file, or what leaves holes in it
	file  *os.File
	h     hash.Hash
	size  int64      // in the file and hashed
	mu    sync.Mutex // of the readers, who write what waits
	small []byte     // bytes that wait to be written together
	work  chan []byte
	done  chan struct{}
}

// Pieces below hashBuffer are collected, since each write costs a hand-over between goroutines.
const hashBuffer = 256 << 10

func newOutput(to io.Writer, file *os.File) *Output {
	o := &Output{
		to: to, file: file, h: sha256.New(), small: make([]byte, 0, hashBuffer), work: make(chan []byte), done: make(chan struct{}),
	}
	go func() {
		for p := range o.work {
			o.h.Write(p)
			o.done <- struct{}{}
		}
	}()
	return o
}

// Write appends p.
func (o *Output) Write(p []byte) (int, error) {
	if len(o.small)+len(p) <= cap(o.small) {
		o.small = append(o.small, p...)
		return len(p), nil
	}
	if err := o.flush(); err != nil {
		return 0, err
	}
	return len(p), o.both(p)
}

// ReadAt reads what was written before. Several goroutines may read at once, none while another writes.
func (o *Output) ReadAt(p []byte, offset int64) (int, error) {
	if err := o.flushLocked(); err != nil {
		return 0, err
	}
	return o.file.ReadAt(p, offset)
}

// Written is the number of bytes written so far, and their SHA-256.
func (o *Output) Written() (size int64, sum [sha256.Size]byte, err error) {
	err = o.flushLocked()
	return o.size, [sha256.Size]byte(o.h.Sum(nil)), err
}

func (o *Output) flushLocked() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flush()
}

func (o *Output) flush() error {
	err := o.both(o.small)
	o.small = o.small[:0]
	return err
}

func (o *Output) both(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	o.work <- p
	_, err := o.to.Write(p)
	<-o.done
	o.size += int64(len(p))
	return err
}

// close writes what waits and gives the hash. It must be called whatever happens; it does not close the file.
func (o *Output) close() ([]byte, error) {
	err := o.flush()
	close(o.work)
	return o.h.Sum(nil), err
}
