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
	// With less room than that, a block that grows is an error for the library.
	room := lz4.CompressBlockBound(len(src))
	dst = slices.Grow(dst, room)
	n, err := e.c.CompressBlock(src, dst[len(dst):len(dst)+room])
	if err != nil {
		return dst, fmt.Errorf("lz4 block: %w", err)
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
