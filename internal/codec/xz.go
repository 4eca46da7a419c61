package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// xzEncoder makes .xz streams as the kernel reads them: one LZMA2 filter with a dictionary of the block size, and
// CRC32, the only check that its decoder verifies (Documentation/staging/xz.rst).
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

// xzDecoder reads the container itself and leaves the LZMA2 data to the library, which would allocate whatever
// dictionary the header asks for.
type xzDecoder struct{}

var errXz = errors.New("xz block: not a stream of one LZMA2 block with CRC32")

func (xzDecoder) Decode(dst, src []byte, max int) ([]byte, error) {
	dictionary, header, err := xzHeader(src)
	if err != nil {
		return dst, err
	}
	in := bytes.NewReader(src[header:])
	r, err := lzma.Reader2Config{DictCap: dictionary}.NewReader2(in)
	if err != nil {
		return dst, fmt.Errorf("xz block: %w", err)
	}
	out, err := readBlock("xz", dst, r, max)
	if err != nil {
		return dst, err
	}
	check := len(src) - in.Len()
	check += -check & 3 // padding; everything is aligned to 4 bytes
	if len(src) < check+4 || binary.LittleEndian.Uint32(src[check:]) != crc32.ChecksumIEEE(out[len(dst):]) {
		return dst, errors.New("xz block: wrong checksum")
	}
	return out, nil
}

const (
	xzStreamHeader = "\xfd7zXZ\x00\x00\x01" // with the flags for CRC32; its own CRC32 follows
	xzLZMA2        = 0x21
)

// xzHeader reads the stream header and the block header (The .xz File Format 1.2, sections 2.1.1 and 3.1) and returns
// the size of the dictionary and where the LZMA2 data begins.
func xzHeader(src []byte) (dictionary, header int, err error) {
	const at = len(xzStreamHeader) + 4
	if len(src) <= at || !bytes.HasPrefix(src, []byte(xzStreamHeader)) {
		return 0, 0, errXz
	}
	header = at + 4*(int(src[at])+1)
	if src[at] == 0 || len(src) < header ||
		binary.LittleEndian.Uint32(src[header-4:]) != crc32.ChecksumIEEE(src[at:header-4]) {
		return 0, 0, errXz
	}
	fields := bytes.NewReader(src[at+2 : header-4])
	flags := src[at+1]
	for _, sizeFlag := range []byte{0x40, 0x80} { // the sizes of the block, which show anyway
		if flags&sizeFlag != 0 {
			binary.ReadUvarint(fields)
		}
	}
	var filter [3]byte // id, length of its properties, the dictionary's size
	if _, err := io.ReadFull(fields, filter[:]); err != nil {
		return 0, 0, errXz
	}
	bits := filter[2]
	dictionary = (2 | int(bits&1)) << (bits/2 + 11)
	if flags&0x3f != 0 || filter[0] != xzLZMA2 || filter[1] != 1 || bits > 40 || dictionary > MaxBlockSize {
		return 0, 0, errXz
	}
	return dictionary, header, nil
}
