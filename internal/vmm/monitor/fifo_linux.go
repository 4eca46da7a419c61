package monitor

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Fifo makes a named pipe and passes on what programs write to it. Unlike a file it loses nothing when it is opened anew
// and cut, and whoever writes faster than the receiver reads has to wait.
func Fifo(path string, to io.Writer) (*Stream, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	// This end keeps the stream from ending before a program opens it.
	w, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		r.Close()
		return nil, err
	}
	return newStream(to, r, w), nil
}
