//go:build !linux

package monitor

import (
	"errors"
	"io"
)

// Fifo is for Linux, where the monitors run that need it.
func Fifo(path string, to io.Writer) (*Stream, error) {
	return nil, errors.ErrUnsupported
}
