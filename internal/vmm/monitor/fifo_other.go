//go:build !unix

package monitor

import (
	"errors"
	"io"
)

// Fifo fails where there are no named pipes.
func Fifo(path string, to io.Writer) (*Stream, error) {
	return nil, errors.ErrUnsupported
}
