package qemu

import (
	"errors"
	"io"
	"os"
	"time"
)

// progressFD is the descriptor at which QEMU finds the pipe for what the guest writes to /dev/hvc0.
const progressFD = 3

// lingering is how long a stream waits for more after QEMU's end, should another process hold its pipe open.
const lingering = time.Second

// stream passes on what QEMU writes into a pipe.
type stream struct {
	to    io.Writer
	spoke func() // called with every piece

	r, w *os.File
	done chan struct{} // closed when all is passed on
}

// open makes the pipe, begins to pass on and returns QEMU's end. started must follow.
func (s *stream) open() (*os.File, error) {
	var err error
	if s.r, s.w, err = os.Pipe(); err != nil {
		return nil, err
	}
	s.done = make(chan struct{})
	go s.pass()
	return s.w, nil
}

// started closes this process's copy of QEMU's end, so that the stream ends with QEMU.
func (s *stream) started() { s.w.Close() }

// finish returns when all that QEMU wrote before its end is passed on.
func (s *stream) finish() {
	s.r.SetReadDeadline(time.Now().Add(lingering))
	<-s.done
}

// pass copies to the end of the stream. A receiver's error does not stop it, or the guest would hang.
func (s *stream) pass() {
	defer close(s.done)
	defer s.r.Close()
	b := make([]byte, 32<<10)
	for late := false; ; {
		n, err := s.r.Read(b)
		switch {
		case n > 0:
			late = false
			s.spoke()
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
