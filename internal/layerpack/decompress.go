package layerpack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/fledge-build/fledge/internal/inflate"
)

// Bounds on what a layer may unpack to when nothing else was asked for.
const (
	freeUnpacked  = 1 << 30  // bytes that any layer may unpack to
	maxRatio      = 200      // above that, unpacked bytes for each byte of the layer; real layers have 2 to 10
	maxHoles      = 64 << 30 // bytes of holes in sparse files
	maxZstdWindow = 128 << 20
)

// UnpackLimit is the number of bytes that a layer of size bytes may decompress to by default: 1 GiB, or 200 times its
// size when that is more. gzip reaches 1032 times, zstd far more, and only with the like of zeros.
func UnpackLimit(size int64) int64 {
	return max(freeUnpacked, maxRatio*size)
}

// Decompress gives the tar archive in r, a layer as tar, tar+gzip (one member or several) or tar+zstd (one frame or
// several; skippable ones are skipped). Which one it is shows in its first bytes. More than limit bytes, damaged data,
// an end before the end, and anything behind the end are errors. The decompressor runs ahead on a goroutine of its own,
// by at most 1 MiB; Close ends it and must be called.
func Decompress(r io.Reader, limit int64) (io.ReadCloser, error) {
	in := &countReader{r: r}
	buf := bufio.NewReaderSize(in, 128<<10)
	head, err := buf.Peek(blockTar)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	d := &decompressor{in: in, buf: buf, limit: limit}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		d.format = "gzip"
		d.out, err = inflate.NewReader(buf)
	case isZstd(head):
		d.format = "zstd"
		d.out, err = newZstdReader(buf)
	case isTar(head):
		d.format = "tar"
		d.out = buf
	default:
		return nil, fmt.Errorf("unknown media type: the data is neither tar, tar+gzip nor tar+zstd%s", guess(head))
	}
	if err != nil {
		return nil, d.explain(err)
	}
	return newReadAhead(d), nil
}

// newZstdReader reads frames on the goroutine that calls it. Windows are bounded as the zstd tool bounds them.
func newZstdReader(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow))
}

const blockTar = 512 // bytes of a tar header

// isZstd tells whether head begins with a frame or a skippable frame (RFC 8878, sections 3.1.1 and 3.1.2).
func isZstd(head []byte) bool {
	return bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18})
}

// isTar tells whether head is a tar header: its checksum is right, whatever the dialect, or it is the empty archive.
func isTar(head []byte) bool {
	if len(head) < blockTar {
		return false
	}
	if isZero(head) {
		return true
	}
	want := int64(0)
	for _, c := range bytes.Trim(head[148:156], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		want = want<<3 | int64(c-'0')
	}
	var unsigned, signed int64
	for i, c := range head {
		if 148 <= i && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}

// guess names what the data looks like instead.
func guess(head []byte) string {
	for _, known := range []struct{ magic, name string }{
		{"\xfd7zXZ\x00", "xz"}, {"BZh", "bzip2"}, {"\x04\x22\x4d\x18", "lz4"}, {"PK\x03\x04", "zip"},
		{"hsqs", "a squashfs image"}, {"{", "JSON"}, {"\x7fELF", "an ELF binary"},
	} {
		if bytes.HasPrefix(head, []byte(known.magic)) {
			return "; it looks like " + known.name
		}
	}
	if len(head) == 0 {
		return "; it is empty"
	}
	return fmt.Sprintf("; it begins with %x", head[:min(len(head), 8)])
}

// countReader counts what was read.
type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// decompressor reads one layer and words its errors.
type decompressor struct {
	format string
	in     *countReader
	buf    *bufio.Reader
	out    io.Reader
	n      int64 // bytes put out
	limit  int64
}

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.out.Read(p)
	if d.n += int64(n); d.n > d.limit {
		return 0, fmt.Errorf("unpacks to more than %d bytes, which its first %d do already; "+
			"if it is meant to, raise --max-unpacked-size", d.limit, d.in.n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.explain(err)
	}
	return n, err
}

func (d *decompressor) explain(err error) error {
	if d.format == "tar" {
		return err
	}
	at := d.in.n - int64(d.buf.Buffered())
	// Not %w: an EOF of the compressed data is none of the archive.
	return fmt.Errorf("%s data is damaged or cut off at about byte %d: %v", d.format, at, err)
}

func (d *decompressor) close() {
	if z, ok := d.out.(*zstd.Decoder); ok {
		z.Close()
	}
}

// readAhead reads from a decompressor on a goroutine of its own.
type readAhead struct {
	full chan chunk
	free chan []byte
	stop chan struct{}
	once sync.Once
	cur  chunk
	rest []byte // of cur.b
}

type chunk struct {
	b   []byte
	err error // after b
}

func newReadAhead(d *decompressor) *readAhead {
	const chunks, size = 4, 256 << 10
	r := &readAhead{full: make(chan chunk, chunks), free: make(chan []byte, chunks), stop: make(chan struct{})}
	for range chunks {
		r.free <- make([]byte, size)
	}
	go func() {
		defer close(r.full)
		defer d.close()
		for err := error(nil); err == nil; {
			select {
			case <-r.stop:
				return
			case b := <-r.free:
				n := 0
				for n < len(b) && err == nil {
					var k int
					k, err = d.Read(b[n:])
					n += k
				}
				r.full <- chunk{b[:n], err}
			}
		}
	}()
	return r
}

func (r *readAhead) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.cur.err != nil {
			return 0, r.cur.err
		}
		if r.cur.b != nil {
			r.free <- r.cur.b[:cap(r.cur.b)]
		}
		r.cur = <-r.full
		r.rest = r.cur.b
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close ends the goroutine and waits for it.
func (r *readAhead) Close() error {
	r.once.Do(func() {
		close(r.stop)
		for range r.full { // until the goroutine closed it
		}
	})
	return nil
}
