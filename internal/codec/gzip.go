package codec

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
)

// gzipEncoder makes zlib streams (RFC 1950), which is what squashfs calls gzip.
type gzipEncoder struct {
	w   *zlib.Writer
	out appender
}

func newGzipEncoder(level, _ int) (Encoder, error) {
	w, err := zlib.NewWriterLevel(io.Discard, level)
	if err != nil {
		return nil, fmt.Errorf("gzip encoder: %w", err)
	}
	return &gzipEncoder{w: w}, nil
}

func (e *gzipEncoder) Encode(dst, src []byte) ([]byte, error) {
	e.out.b = dst
	e.w.Reset(&e.out)
	if _, err := e.w.Write(src); err != nil {
		return dst, fmt.Errorf("gzip block: %w", err)
	}
	if err := e.w.Close(); err != nil {
		return dst, fmt.Errorf("gzip block: %w", err)
	}
	return e.out.b, nil
}

type gzipDecoder struct {
	r  io.ReadCloser
	in *bytes.Reader
}

func newGzipDecoder() *gzipDecoder { return &gzipDecoder{in: bytes.NewReader(nil)} }

func (d *gzipDecoder) Decode(dst, src []byte, max int) ([]byte, error) {
	d.in.Reset(src)
	var err error
	if d.r == nil {
		d.r, err = zlib.NewReader(d.in)
	} else {
		err = d.r.(zlib.Resetter).Reset(d.in, nil)
	}
	if err != nil {
		return dst, fmt.Errorf("gzip block: %w", err)
	}
	out, err := readBlock("gzip", dst, d.r, max)
	if err == nil && d.in.Len() > 0 {
		return dst, fmt.Errorf("gzip block: %d bytes too many", d.in.Len())
	}
	return out, err
}
