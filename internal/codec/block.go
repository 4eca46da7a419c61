package codec

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// appender is a writer into a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

var errTooLong = errors.New("holds more than it may")

// readBlock appends what r holds, at most max bytes.
func readBlock(name string, dst []byte, r io.Reader, max int) ([]byte, error) {
	out := slices.Grow(dst, max+1)[:len(dst)+max+1] // one more shows that there is too much, and where the end is
	for n := len(dst); ; {
		k, err := r.Read(out[n:])
		n += k
		switch {
		case n == len(out):
			return dst, fmt.Errorf("%s block: %w", name, errTooLong)
		case errors.Is(err, io.EOF):
			return out[:n], nil
		case err != nil:
			return dst, fmt.Errorf("%s block: %w", name, err)
		}
	}
}
