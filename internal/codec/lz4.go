package codec

import (
	"fmt"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// lz4Encoder makes LZ4 blocks without a frame, by the deepest search of the high compression mode.
type lz4Encoder struct{ c lz4.CompressorHC }

func newLz4Encoder(_, _ int) (Encoder, error) {
	return &lz4Encoder{lz4.CompressorHC{Level: lz4.Level9}}, nil
}

func (e *lz4Encoder) Encode(dst, src []byte) ([]byte, error) {
	dst = slices.Grow(dst, len(src))
	n, err := e.c.CompressBlock(src, dst[len(dst):len(dst)+len(src)])
	switch {
	case err != nil:
		return dst, fmt.Errorf("lz4 block: %w", err)
	case n == 0:
		return dst, errStore
	}
	return dst[:len(dst)+n], nil
}

type lz4Decoder struct{}

func (lz4Decoder) Decode(dst, src []byte, max int) ([]byte, error) {
	dst = slices.Grow(dst, max)
	n, err := lz4.UncompressBlock(src, dst[len(dst):len(dst)+max])
	if err != nil {
		return dst, fmt.Errorf("lz4 block: %w", err)
	}
	return dst[:len(dst)+n], nil
}
