package codec

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/fledge-build/fledge/internal/zstdblock"
)

type zstdEncoder struct{ enc *zstdblock.Encoder }

// newZstdEncoder makes plain single frames: with the content size, single segment, without checksum or dictionary. The
// kernel rejects a window above the block size.
func newZstdEncoder(level, blockSize int) (Encoder, error) {
	enc, err := zstdblock.NewEncoder(level, max(blockSize, metadataSize))
	if err != nil {
		return nil, err
	}
	return zstdEncoder{enc}, nil
}

func (e zstdEncoder) Encode(dst, src []byte) ([]byte, error) { return e.enc.Encode(dst, src), nil }

type zstdDecoder struct{ dec *zstd.Decoder }

func newZstdDecoder() (Decoder, error) {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxBlockSize),
		zstd.WithDecoderMaxWindow(MaxBlockSize))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return zstdDecoder{dec}, nil
}

func (d zstdDecoder) Decode(dst, src []byte, max int) ([]byte, error) {
	// The decoder's bound counts what is in dst already, so it gets only the room behind that.
	out, err := d.dec.DecodeAll(src, slices.Grow(dst, max)[len(dst):len(dst)])
	switch {
	case err != nil:
		return dst, fmt.Errorf("zstd block: %w", err)
	case len(out) > max:
		return dst, fmt.Errorf("zstd block: %w", errTooLong)
	}
	return append(dst, out...), nil
}
