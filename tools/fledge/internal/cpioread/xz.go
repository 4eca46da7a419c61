package cpioread

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// The .xz File Format 1.2: a stream is a header, blocks, an index and a footer.
const (
	xzEdge      = 12       // bytes of header and footer
	xzMaxIndex  = 64 << 20 // bytes of what may be an index, all together
	xzFooterEnd = "YZ"
)

var errXzEnd = errors.New("no end of the stream")

// xzEnd finds the end of the stream at a byte of the file, and the kind of its checksum. Blocks need not tell their
// sizes, but the index at the end tells them: the end is where a footer's index adds up to just this stream.
func xzEnd(r io.ReaderAt, at, size int64) (end int64, check byte, err error) {
	var head [xzEdge]byte
	if _, err := r.ReadAt(head[:], at); err != nil {
		return 0, 0, noEOF(err)
	}
	if string(head[:6]) != "\xfd7zXZ\x00" {
		return 0, 0, errors.New("wrong magic")
	}
	b := bufio.NewReaderSize(io.NewSectionReader(r, at, size-at), bufferSize)
	budget := int64(xzMaxIndex)
	for n := int64(0); ; {
		// ReadSlice stops at each Z; a full buffer without one is read on.
		part, err := b.ReadSlice(xzFooterEnd[1])
		n += int64(len(part))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				err = errXzEnd
			}
			return 0, 0, err
		}
		if err == nil && n%4 == 0 && n >= 2*xzEdge+8 && isXzEnd(r, at, n, head[6:8], &budget) {
			return at + n, head[7], nil
		}
	}
}

// isXzEnd tells whether the n bytes at a byte of the file are a whole stream with these flags. What it reads for that
// is taken off the budget.
func isXzEnd(r io.ReaderAt, at, n int64, flags []byte, budget *int64) bool {
	var foot [xzEdge]byte // CRC32, size of the index, flags, magic
	if _, err := r.ReadAt(foot[:], at+n-xzEdge); err != nil {
		return false
	}
	index := (int64(le.Uint32(foot[4:])) + 1) * 4
	if string(foot[10:]) != xzFooterEnd || !bytes.Equal(foot[8:10], flags) || index > n-2*xzEdge || index > *budget ||
		le.Uint32(foot[:]) != crc32.ChecksumIEEE(foot[4:10]) {
		return false
	}
	*budget -= index
	b := make([]byte, index)
	if _, err := r.ReadAt(b, at+n-xzEdge-index); err != nil {
		return false
	}
	if b[0] != 0 || le.Uint32(b[index-4:]) != crc32.ChecksumIEEE(b[:index-4]) {
		return false
	}
	in := bytes.NewReader(b[1 : index-4])
	blocks, err := binary.ReadUvarint(in)
	if err != nil || blocks > uint64(index) {
		return false
	}
	total := int64(2*xzEdge) + index
	for range blocks {
		packed, err := binary.ReadUvarint(in)
		if err != nil || packed > uint64(n) {
			return false
		}
		if _, err := binary.ReadUvarint(in); err != nil {
			return false
		}
		if total += int64(packed+3) &^ 3; total > n {
			return false
		}
	}
	return total == n
}
