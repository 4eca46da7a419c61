package monitor

import (
	"errors"
	"io"
	"os"
	"time"
)

// ExtraFD is the descriptor at which the program finds the first of Start's extra streams.
const ExtraFD = 3

// lingering is how long a stream waits for more after the program's end, should another process hold it open.
const lingering = time.Second

// Stream passes on what a program writes.
type Stream struct {
	to   io.Writer
	r, w *os.File
	done chan struct{} // closed when all is passed on
}

// Pipe makes a stream for Start, which gives its end to the program.
func Pipe(to io.Writer) (*Stream, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return newStream(to, r, w), nil
}

// newStream passes on from r until nobody has w any more.
func newStream(to io.Writer, r, w *os.File) *Stream {
	s := &Stream{to: to, r: r, w: w, done: make(chan struct{})}
	go s.pass()
	return s
}

// Finish returns when all that was written is passed on; the writers should have ended.
func (s *Stream) Finish() {
	s.w.Close()
	s.r.SetReadDeadline(time.Now().Add(lingering))
	<-s.done
}

// pass copies to the end of the stream. A receiver's error does not stop it, or the guest would hang.
func (s *Stream) pass() {
	defer close(s.done)
	defer s.r.Close()
	b := make([]byte, 32<<10)
	for late := false; ; {
		n, err := s.r.Read(b)
		switch {
		case n > 0:
			late = false
			s.to.Write(b[:n])
		case errors.Is(err, os.ErrDeadlineExceeded) && !late:
			// The receiver may have been so slow that the pipe is still full, and a read after the deadline reads nothing.
			late = true
			s.r.SetReadDeadline(time.Now().Add(lingering))
		case err != nil:
			return
		}
	}
}
