package codec

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
)

type zstdEncoder struct{ enc *zstd.Encoder }

// newZstdEncoder makes plain single frames: with the content size, single segment, without checksum or dictionary. The
// kernel rejects a window above the block size.
func newZstdEncoder(level, blockSize int) (Encoder, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(klauspostLevel(level)),
		zstd.WithWindowSize(max(blockSize, metadataSize)),
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true),
		zstd.WithZeroFrames(true))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return zstdEncoder{enc}, nil
}

// klauspostLevel maps zstd's levels onto the encoder's four by the sizes measured in docs/compression.md.
func klauspostLevel(level int) zstd.EncoderLevel {
	switch {
	case level <= 2:
		return zstd.SpeedFastest
	case level <= 4:
		return zstd.SpeedDefault
	case level <= 7:
		return zstd.SpeedBetterCompression
	}
	return zstd.SpeedBestCompression
}

func (e zstdEncoder) Encode(dst, src []byte) ([]byte, error) { return e.enc.EncodeAll(src, dst), nil }

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
