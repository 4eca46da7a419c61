package cli

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/sparsefile"
)

// WriteWithDigest makes the file at out with what write puts out, and the file at digestOut with its digest and a
// newline. Both appear or none: what was there before stays when write or anything after it fails.
func WriteWithDigest(out, digestOut string, write func(w io.Writer) error) (digest string, err error) {
	return writeWithDigest(out, digestOut, false, write)
}

// WriteSparseWithDigest is WriteWithDigest for a file that takes no space where it is zeros.
func WriteSparseWithDigest(out, digestOut string, write func(w io.Writer) error) (digest string, err error) {
	return writeWithDigest(out, digestOut, true, write)
}

func writeWithDigest(out, digestOut string, sparse bool, write func(w io.Writer) error) (digest string, err error) {
	published := false
	err = WriteFile(out, func(f *os.File) error {
		to, finish := io.Writer(f), func() error { return nil }
		if sparse {
			holes := sparsefile.New(f)
			to, finish = holes, holes.Close
		}
		w := newHashingWriter(to)
		err := write(w)
		sum, closeErr := w.close()
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

// hashingWriter writes to f and computes the SHA-256 of the same bytes at the same time.
type hashingWriter struct {
	f     io.Writer
	h     hash.Hash
	small []byte // bytes that wait to be written together
	work  chan []byte
	done  chan struct{}
}

// Pieces below hashBuffer are collected, since each write costs a hand-over between goroutines.
const hashBuffer = 256 << 10

func newHashingWriter(f io.Writer) *hashingWriter {
	w := &hashingWriter{
		f: f, h: sha256.New(), small: make([]byte, 0, hashBuffer), work: make(chan []byte), done: make(chan struct{}),
	}
	go func() {
		for p := range w.work {
			w.h.Write(p)
			w.done <- struct{}{}
		}
	}()
	return w
}

func (w *hashingWriter) Write(p []byte) (int, error) {
	if len(w.small)+len(p) <= cap(w.small) {
		w.small = append(w.small, p...)
		return len(p), nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return len(p), w.both(p)
}

func (w *hashingWriter) flush() error {
	err := w.both(w.small)
	w.small = w.small[:0]
	return err
}

func (w *hashingWriter) both(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	w.work <- p
	_, err := w.f.Write(p)
	<-w.done
	return err
}

// close writes what waits and gives the hash. It must be called whatever happens; it does not close the file.
func (w *hashingWriter) close() ([]byte, error) {
	err := w.flush()
	close(w.work)
	return w.h.Sum(nil), err
}
