package codec

import (
	"bytes"
	"fmt"

	"github.com/ulikunitz/xz"
)

// xzEncoder makes .xz streams as the kernel reads them: one LZMA2 filter with a dictionary of the block size, and CRC32,
// the only check that its decoder verifies (Documentation/staging/xz.rst).
type xzEncoder struct{ config xz.WriterConfig }

func newXzEncoder(_, blockSize int) (Encoder, error) {
	return xzEncoder{xz.WriterConfig{DictCap: blockSize, CheckSum: xz.CRC32}}, nil
}

func (e xzEncoder) Encode(dst, src []byte) ([]byte, error) {
	out := appender{dst}
	w, err := e.config.NewWriter(&out)
	if err != nil {
		return dst, fmt.Errorf("xz block: %w", err)
	}
	if _, err := w.Write(src); err != nil {
		return dst, fmt.Errorf("xz block: %w", err)
	}
	if err := w.Close(); err != nil {
		return dst, fmt.Errorf("xz block: %w", err)
	}
	return out.b, nil
}

type xzDecoder struct{}

func (xzDecoder) Decode(dst, src []byte, max int) ([]byte, error) {
	in := bytes.NewReader(src)
	r, err := xz.ReaderConfig{DictCap: MaxBlockSize, SingleStream: true}.NewReader(in)
	if err != nil {
		return dst, fmt.Errorf("xz block: %w", err)
	}
	return readBlock("xz", dst, r, in, max)
}
