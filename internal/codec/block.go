package codec

import (
	"bytes"
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

var errTooLong = errors.New("block holds more than it may")

// checkLength tells whether a decoder appended at most max bytes to dst.
func checkLength(dst, out []byte, max int) ([]byte, error) {
	if len(out)-len(dst) > max {
		return dst, errTooLong
	}
	return out, nil
}

// readBlock appends what r, which decodes in, holds: at most max bytes, and nothing may be left in in.
func readBlock(name string, dst []byte, r io.Reader, in *bytes.Reader, max int) ([]byte, error) {
	start := len(dst)
	out := slices.Grow(dst, max+1)[:start+max+1] // one more shows that there is too much, and where the end is
	for n := start; ; {
		k, err := r.Read(out[n:])
		n += k
		switch {
		case n == len(out):
			return dst, fmt.Errorf("%s block: %w", name, errTooLong)
		case errors.Is(err, io.EOF) && in.Len() > 0:
			return dst, fmt.Errorf("%s block: %d bytes too many", name, in.Len())
		case errors.Is(err, io.EOF):
			return out[:n], nil
		case err != nil:
			return dst, fmt.Errorf("%s block: %w", name, err)
		}
	}
}
