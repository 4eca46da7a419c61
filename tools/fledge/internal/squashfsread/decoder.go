package squashfsread

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/anchore/go-lzo"
	"github.com/ulikunitz/xz/lzma"
	"github.com/xi2/xz"

	"github.com/fledge-build/fledge/internal/codec"
)

// Compressor numbers that package codec does not read, or not as widely as mksquashfs writes them.
const (
	idLZMA = 2
	idLZO  = 3
	idXz   = 4
)

func newDecoder(id uint16) (codec.Decoder, error) {
	switch id {
	case idLZMA:
		return lzmaDecoder{}, nil
	case idLZO:
		return lzoDecoder{}, nil
	case idXz:
		return &xzDecoder{in: bytes.NewReader(nil)}, nil
	}
	return codec.NewDecoder(id)
}

var errTooLong = errors.New("holds more than it may")

// readBlock appends what r holds, at most max bytes.
func readBlock(dst []byte, r io.Reader, max int) ([]byte, error) {
	out := slices.Grow(dst, max+1)[:len(dst)+max+1]
	n, err := io.ReadFull(r, out[len(dst):])
	switch {
	case err == nil:
		return dst, errTooLong
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return out[:len(dst)+n], nil
	}
	return dst, err
}

// lzmaDecoder reads streams of the .lzma format; their size stands in the header, with an end marker or without.
type lzmaDecoder struct{}

func (lzmaDecoder) Decode(dst, src []byte, max int) ([]byte, error) {
	if len(src) > lzma.HeaderLen && le.Uint64(src[5:]) > uint64(max) {
		return dst, fmt.Errorf("lzma block: %w", errTooLong)
	}
	in := bytes.NewReader(src)
	// lzma_wrapper.c of squashfs-tools takes the block size for the dictionary, at least 8 KiB.
	r, err := lzma.ReaderConfig{DictCap: codec.MaxBlockSize}.NewReader(in)
	if err != nil {
		return dst, fmt.Errorf("lzma block: %w", err)
	}
	want := int(le.Uint64(src[5:]))
	out, err := readBlock(dst, r, max)
	switch {
	case err != nil:
		return dst, fmt.Errorf("lzma block: %w", err)
	case len(out)-len(dst) != want:
		return dst, fmt.Errorf("lzma block: %d bytes of %d", len(out)-len(dst), want)
	}
	return out, nil
}

// lzoDecoder reads blocks of LZO1X.
type lzoDecoder struct{}

func (lzoDecoder) Decode(dst, src []byte, max int) ([]byte, error) {
	dst = slices.Grow(dst, max)
	n, err := lzo.Decompress(src, dst[len(dst):len(dst)+max])
	if err != nil {
		return dst, fmt.Errorf("lzo block: %w", err)
	}
	return dst[:len(dst)+n], nil
}

// xzDecoder reads .xz streams, also with the filters for machine code (mksquashfs -Xbcj), which the library of package
// codec does not know.
type xzDecoder struct {
	r  *xz.Reader
	in *bytes.Reader
}

func (d *xzDecoder) Decode(dst, src []byte, max int) ([]byte, error) {
	d.in.Reset(src)
	var err error
	if d.r == nil {
		d.r, err = xz.NewReader(d.in, codec.MaxBlockSize)
	} else {
		err = d.r.Reset(d.in)
	}
	if err != nil {
		d.r = nil
		return dst, fmt.Errorf("xz block: %w", err)
	}
	out, err := readBlock(dst, d.r, max)
	if err != nil {
		return dst, fmt.Errorf("xz block: %w", err)
	}
	return out, nil
}
