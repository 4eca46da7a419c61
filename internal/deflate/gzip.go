package deflate

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// gzipHeader has no name and no time, and an unknown system (RFC 1952, section 2.3.1).
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// Chunk is a part of the data of a gzip stream. Chunks may be compressed in any order; the results, one behind the
// other, are the stream.
type Chunk struct {
	First, Last  bool // of the stream
	before, data []byte
	sum, size    uint32 // of the stream so far
}

// AppendGzip appends the chunk's part of the stream to dst and returns the extended slice. e must take MaxChunk bytes.
func (c *Chunk) AppendGzip(e *Encoder, dst []byte) []byte {
	if c.First {
		dst = append(dst, gzipHeader...)
	}
	dst = e.Append(dst, c.before, c.data, c.Last)
	if c.Last {
		dst = binary.LittleEndian.AppendUint32(dst, c.sum)
		dst = binary.LittleEndian.AppendUint32(dst, c.size)
	}
	return dst
}

// ChunkWriter divides the data of a gzip stream into chunks. Where it does depends on the data alone.
type ChunkWriter struct {
	emit func(Chunk) error
	cur  Chunk
	buf  []byte // what goes before the current chunk, and the chunk
	err  error  // the first error; it sticks
}

// NewChunkWriter makes a writer that hands chunks to emit, which may keep them. Close hands over the last.
func NewChunkWriter(emit func(Chunk) error) *ChunkWriter {
	return &ChunkWriter{emit: emit, cur: Chunk{First: true}}
}

// NewGzipWriter makes a writer that compresses to w with e, which must take MaxChunk bytes. Close ends the stream.
func NewGzipWriter(w io.Writer, e *Encoder) *ChunkWriter {
	var out []byte
	return NewChunkWriter(func(c Chunk) error {
		out = c.AppendGzip(e, out[:0])
		_, err := w.Write(out)
		return err
	})
}

// Write takes more of the stream's data.
func (z *ChunkWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && z.err == nil {
		room := len(z.cur.before) + MaxChunk - len(z.buf)
		if room == 0 {
			z.flush(false)
			continue
		}
		k := min(len(p), room)
		if z.buf == nil {
			z.buf = make([]byte, 0, MaxChunk)
		}
		z.buf = append(z.buf, p[:k]...)
		n, p = n+k, p[k:]
	}
	return n, z.err
}

// flush hands over the current chunk.
func (z *ChunkWriter) flush(last bool) {
	c := z.cur
	c.Last = last
	c.before, c.data = z.buf[:len(c.before)], z.buf[len(c.before):]
	c.sum = crc32.Update(c.sum, crc32.IEEETable, c.data)
	c.size += uint32(len(c.data))
	if z.err = z.emit(c); z.err != nil || last {
		return
	}
	next := make([]byte, window, window+MaxChunk)
	copy(next, z.buf[len(z.buf)-window:])
	z.buf = next
	z.cur = Chunk{before: next, sum: c.sum, size: c.size}
}

// Close hands over the last chunk.
func (z *ChunkWriter) Close() error {
	if z.err == nil {
		z.flush(true)
	}
	return z.err
}
