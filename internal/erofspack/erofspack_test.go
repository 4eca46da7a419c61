package erofspack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/packfile"
)

func lz4() codec.Spec { return codec.Spec{Name: "lz4"} }

func create(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "layer.pack"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// pack makes a pack of files named by their number, and gives its path.
func pack(t testing.TB, spec codec.Spec, jobs int, files ...string) string {
	t.Helper()
	f := create(t)
	b, err := NewBuilder(f, Options{Codec: spec, Jobs: jobs})
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range files {
		e := fstree.Entry{Path: fmt.Sprint(i), Type: fstree.Regular, Mode: 0o644}
		if err := b.Add(e, strings.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
	if b.Entries() != int64(len(files)) {
		t.Errorf("%d entries", b.Entries())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func open(t testing.TB, path string) *Reader {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// bytesOf unpacks a content.
func bytesOf(t testing.TB, r *Reader, c *Content) []byte {
	t.Helper()
	var blocks bytes.Buffer
	if err := r.Copy(&blocks, c, make([]byte, BlockSize)); err != nil {
		t.Fatal(err)
	}
	tail, err := r.AppendTail(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := codec.NewDecoder(lz4().ID())
	if err != nil {
		t.Fatal(err)
	}
	disk, out := blocks.Bytes(), []byte{}
	if c.Layout == Flat {
		return append(disk, tail...)[:c.Size]
	}
	for _, e := range c.Extents {
		n := int(e.Blocks) * BlockSize
		switch chunk := int(e.Length) * int(ChunkBlocks(c.Size)) * BlockSize; {
		case e.Kind == Hole:
			out = append(out, make([]byte, chunk)...)
			continue
		case e.Kind == Data:
			n = min(chunk, len(disk))
			out = append(out, disk[:n]...)
		case e.Blocks == 0:
			out, err = unpack(decoder, out, tail, e)
		default:
			out, err = unpack(decoder, out, disk[:n], e)
		}
		if err != nil {
			t.Fatal(err)
		}
		disk = disk[n:]
	}
	return out[:c.Size]
}

func samples() []string {
	sparse := []byte(strings.Repeat("\x00", 9<<20))
	copy(sparse[3<<20:], imagetest.Noise(1, 50_000))
	copy(sparse[9<<20-10:], "0123456789")
	return []string{
		"", "x", imagetest.Text(1, 3000), imagetest.Text(2, 30_000), imagetest.Text(3, 9<<20), imagetest.Noise(4, 5<<20),
		strings.Repeat("\x00", 5<<20), string(sparse), imagetest.Noise(5, 4096), imagetest.Noise(6, 4095),
		imagetest.Text(3, 9<<20), // again
		imagetest.Noise(7, 4<<20) + imagetest.Text(7, 4<<20), string(sparse) + imagetest.Text(8, 1<<20),
	}
}

// Contents come out as they went in, with the same bytes of the pack for any number of jobs, and equal ones once.
func TestRoundTrip(t *testing.T) {
	files := samples()
	for _, spec := range []codec.Spec{lz4(), {Name: "none"}} {
		path := pack(t, spec, 1, files...)
		r := open(t, path)
		if r.Contents() != len(files)-1 || r.Codec() != spec {
			t.Errorf("%d contents with %s", r.Contents(), r.Codec())
		}
		layouts := map[Layout]int{}
		i := 0
		for e, err := range r.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			c, err := r.Content(e.Content)
			if err != nil {
				t.Fatal(err)
			}
			layouts[c.Layout]++
			if got := string(bytesOf(t, r, &c)); got != files[i] || c.Digest != sha256.Sum256([]byte(files[i])) {
				t.Errorf("%s: file %d has %d bytes, want %d", spec, i, len(got), len(files[i]))
			}
			i++
		}
		if layouts[Flat] == 0 || layouts[Chunked] == 0 || (layouts[LZ4] == 0) != (spec.Name == "none") {
			t.Errorf("%s: layouts %v", spec, layouts)
		}
		first, _ := os.ReadFile(path)
		for _, jobs := range []int{0, 2, 3} {
			if again, _ := os.ReadFile(pack(t, spec, jobs, files...)); !bytes.Equal(first, again) {
				t.Errorf("%s: other bytes with %d jobs", spec, jobs)
			}
		}
	}
}

func TestBuilderErrors(t *testing.T) {
	if _, err := NewBuilder(create(t), Options{Codec: codec.Spec{Name: "zstd", Level: 3}}); err == nil ||
		!strings.Contains(err.Error(), "erofs images are not made with zstd 3: use lz4") {
		t.Errorf("error %v", err)
	}
	file := fstree.Entry{Path: "f", Type: fstree.Regular}
	for want, add := range map[string]func(b *Builder) error{
		"unexpected EOF": func(b *Builder) error { return b.Add(file, strings.NewReader("short"), 6) },
		"file of 4398046511105 bytes; an erofs image holds files of up to": func(b *Builder) error {
			return b.Add(file, strings.NewReader(""), maxSize+1)
		},
		"unknown type": func(b *Builder) error { return b.Add(fstree.Entry{Path: "x"}, nil, 0) },
	} {
		b, err := NewBuilder(create(t), Options{Codec: lz4()})
		if err != nil {
			t.Fatal(err)
		}
		if err := add(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
		if err := b.Close(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Close: error %v, want %s", err, want)
		}
	}
}

// A full disk, or one that cannot be written, is an error.
func TestNoRoom(t *testing.T) {
	f := create(t)
	b, err := NewBuilder(f, Options{Codec: lz4()})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for i := 0; err == nil && i < 100; i++ {
		data := imagetest.Noise(i, 100_000)
		err = b.Add(fstree.Entry{Path: fmt.Sprint(i), Type: fstree.Regular}, strings.NewReader(data), int64(len(data)))
	}
	if err := b.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// seal gives a pack whose index was changed the hash that fits.
func seal(b []byte) []byte {
	size := int64(len(b))
	head := b[size-kind.FooterSize():][:kind.HeadSize]
	foot, err := decodeFooter(head, size)
	if err != nil {
		return b
	}
	end := size - sha256.Size - packfile.MagicSize
	sum := sha256.Sum256(b[foot.dataEnd:end])
	return slices.Concat(b[:end], sum[:], []byte(kind.Magic))
}

// readAll reads all there is, whatever the errors: a hostile index leads nowhere but to errors.
func readAll(t testing.TB, data []byte) {
	path := filepath.Join(t.TempDir(), "pack")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		return
	}
	defer r.Close()
	for range r.Entries() {
	}
	for i := range min(r.Contents(), 1000) {
		c, err := r.Content(uint32(i))
		if err != nil {
			continue
		}
		if err := r.Copy(io.Discard, &c, make([]byte, BlockSize)); err == nil {
			r.AppendTail(nil, &c)
		}
	}
}

func TestDamagedIndex(t *testing.T) {
	data, err := os.ReadFile(pack(t, lz4(), 1, samples()[1:4]...))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(data))
	foot, err := decodeFooter(data[size-kind.FooterSize():], size)
	if err != nil {
		t.Fatal(err)
	}
	for at := foot.dataEnd; at < size; at++ {
		damaged := bytes.Clone(data)
		damaged[at] ^= 0x81
		path := filepath.Join(t.TempDir(), "pack")
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, packfile.ErrDamaged) {
			t.Errorf("byte %d: error %v", at, err)
		}
		readAll(t, seal(damaged))
	}
	for _, cut := range []int{0, 7, 100, len(data) - 1} {
		readAll(t, data[:cut])
	}
}

func FuzzIndex(f *testing.F) {
	good, err := os.ReadFile(pack(f, lz4(), 1, samples()[1:4]...))
	if err != nil {
		f.Fatal(err)
	}
	size := int64(len(good))
	foot, err := decodeFooter(good[size-kind.FooterSize():], size)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[foot.dataEnd:])
	f.Fuzz(func(t *testing.T, index []byte) {
		b := slices.Concat(good[:foot.dataEnd], index)
		if int64(len(index)) >= kind.FooterSize() {
			b = seal(b)
		}
		fuzztest.Limit(t, 64<<20+100*len(b), func() { readAll(t, b) })
	})
}
