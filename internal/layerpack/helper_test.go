package layerpack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
)

// options are for small packs that are made fast.
func options(t testing.TB, compressor string) Options {
	t.Helper()
	level := 0
	if compressor == "zstd" {
		level = 1
	}
	spec, err := codec.ParseSpec(compressor, level)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Codec: spec, BlockSize: codec.MinBlockSize, Jobs: 2}
}

// create is an empty file in a folder of the test.
func create(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x.pack"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// build makes a pack with what add adds.
func build(t testing.TB, o Options, add func(b *Builder) error) (*Reader, Stats) {
	t.Helper()
	f := create(t)
	b, err := NewBuilder(f, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := add(b); err != nil {
		t.Error(err)
	}
	stats, err := b.Close()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, f), stats
}

func open(t testing.TB, f *os.File) *Reader {
	t.Helper()
	r, err := Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// packTar packs an archive; without an error it also reads all of the pack.
func packTar(t testing.TB, o Options, archive []byte) (*Reader, error) {
	t.Helper()
	return packTarUpTo(t, o, archive, 0)
}

// packTarUpTo is packTar for an archive whose files may have max bytes.
func packTarUpTo(t testing.TB, o Options, archive []byte, max int64) (*Reader, error) {
	t.Helper()
	f := create(t)
	stats, err := buildWith(f, o, func(b *Builder) error {
		return AddTar(context.Background(), b, bytes.NewReader(archive), max)
	})
	if err != nil {
		return nil, err
	}
	r := open(t, f)
	checkPack(t, r, stats)
	return r, nil
}

// checkPack reads all of the pack and compares every content with its digest.
func checkPack(t testing.TB, r *Reader, stats Stats) {
	t.Helper()
	used := make([]bool, r.Contents())
	n := int64(0)
	for e, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if e.Type == fstree.Regular {
			used[e.Content] = true
		} else if e.Content != fstree.NoContent {
			t.Errorf("%q has content %d", e.Path, e.Content)
		}
	}
	if n != stats.Entries || int64(len(used)) != stats.Contents {
		t.Errorf("%d entries and %d contents, want %d and %d", n, len(used), stats.Entries, stats.Contents)
	}
	for i, ok := range used {
		if !ok {
			t.Errorf("no entry has content %d", i)
		}
		content(t, r, uint32(i))
	}
	if info, err := r.File().Stat(); err != nil || info.Size() != stats.Size {
		t.Errorf("pack has %d bytes, want %d; error %v", info.Size(), stats.Size, err)
	}
}

// content reads the data of a content as a file system would and compares it with the digest.
func content(t testing.TB, r *Reader, i uint32) []byte {
	t.Helper()
	c, err := r.Content(i)
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	if c.Fragment != NoFragment {
		fb := r.FragmentBlocks()[c.Fragment]
		block := readBlock(t, r, fb.Offset, fb.Size, int(fb.Length))
		data = block[c.FragmentOffset:][:c.Size]
	}
	at := c.Offset
	for _, size := range c.Blocks {
		data = append(data, readBlock(t, r, at, size, int(min(uint64(r.BlockSize()), c.Size-uint64(len(data)))))...)
		at += uint64(DiskSize(size))
	}
	if uint64(len(data)) != c.Size || sha256.Sum256(data) != c.Digest {
		t.Errorf("content %d: %d bytes differ from what the index says of %d bytes", i, len(data), c.Size)
	}
	return data
}

func readBlock(t testing.TB, r *Reader, offset uint64, size uint32, length int) []byte {
	t.Helper()
	if size == 0 {
		return make([]byte, length)
	}
	disk := make([]byte, DiskSize(size))
	if _, err := r.ReadAt(disk, int64(offset)); err != nil {
		t.Fatal(err)
	}
	if size&Uncompressed != 0 {
		return disk
	}
	d, err := codec.NewDecoder(r.Codec().ID())
	if err != nil {
		t.Fatal(err)
	}
	data, err := d.Decode(nil, disk, length)
	if err != nil || len(data) != length {
		t.Fatalf("block at %d: %d bytes, want %d; error %v", offset, len(data), length, err)
	}
	return data
}

// text is n bytes that compress, different for each seed.
func text(seed, n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of file %d says %x\n", i, seed, (i*7919+seed)%65521)
	}
	return b.Bytes()[:n]
}

// noise is n bytes that do not compress.
func noise(seed, n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256(fmt.Append(nil, seed, i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func file(name string) fstree.Entry {
	return fstree.Entry{Path: name, Type: fstree.Regular, Mode: 0o644, Content: fstree.NoContent}
}

func addFile(b *Builder, name string, data []byte) error {
	return b.Add(file(name), bytes.NewReader(data), int64(len(data)))
}

// header is a tar header for a test; a regular file when typ is 0.
func header(typ byte, name, link string) *tar.Header {
	if typ == 0 {
		typ = tar.TypeReg
	}
	return &tar.Header{Typeflag: typ, Name: name, Linkname: link, Mode: 0o644, ModTime: time.Unix(1700000000, 0)}
}

// archive is a tar of headers, where a file's data is its name.
func archive(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		data := ""
		if h.Typeflag == tar.TypeReg {
			data = h.Name
			h.Size = int64(len(data))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wantError tells whether err holds all of the texts in want, which are separated by "|".
func wantError(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", want)
		return
	}
	for part := range strings.SplitSeq(want, "|") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}
