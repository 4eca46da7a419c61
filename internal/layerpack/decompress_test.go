package layerpack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, 6)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zst(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// layerTar is an archive of a size that takes several reads.
func layerTar(t testing.TB) []byte {
	h := header(0, "noise", "")
	return slices.Concat(archive(t, header(0, "first", ""))[:1024], tarFile(t, h.Name, noise(1, 700<<10)))
}

func tarFile(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	b := archive(t, header(0, name, ""))
	b = patch(b, 124, fmt.Sprintf("%011o\x00", len(data)))
	return slices.Concat(b[:512], data, make([]byte, -len(data)&511), make([]byte, 1024))
}

// packLayer packs a layer that may unpack to max bytes (0: AddLayer's default).
func packLayer(t testing.TB, o Options, layer []byte, max int64) (Stats, error) {
	f := create(t)
	stats, err := buildWith(f, o, func(b *Builder) error {
		return AddLayer(context.Background(), b, bytes.NewReader(layer), int64(len(layer)), max)
	})
	if err == nil {
		checkPack(t, open(t, f), stats)
	}
	return stats, err
}

func TestPackLayer(t *testing.T) {
	plain := layerTar(t)
	skippable := []byte{0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}
	want, err := packLayer(t, options(t, "none"), plain, 0)
	if err != nil || want.Entries != 2 {
		t.Fatal(want, err)
	}
	for name, layer := range map[string][]byte{
		"gzip":                gz(t, plain),
		"gzip members":        slices.Concat(gz(t, plain[:1000]), gz(t, nil), gz(t, plain[1000:])),
		"zstd":                zst(t, plain),
		"zstd frames":         slices.Concat(zst(t, plain[:5000]), skippable, zst(t, plain[5000:]), skippable),
		"zstd, skipped first": slices.Concat(skippable, zst(t, plain)),
		"no entries":          make([]byte, 1024),
		"no entries, gzip":    gz(t, make([]byte, 10240)),
	} {
		got, err := packLayer(t, options(t, "none"), layer, 0)
		if strings.HasPrefix(name, "no entries") {
			if got.Entries != 0 || err != nil {
				t.Errorf("%s: %+v, error %v", name, got, err)
			}
			continue
		}
		if got != want || err != nil {
			t.Errorf("%s: %+v, want %+v; error %v", name, got, want, err)
		}
	}
}

func TestPackLayerErrors(t *testing.T) {
	plain := layerTar(t)
	asGzip, asZstd := gz(t, plain), zst(t, plain)
	flip := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		b[at] ^= 0x10
		return b
	}
	for _, c := range []struct {
		name, want string
		layer      []byte
	}{
		{"nothing", "unknown media type|neither tar, tar+gzip nor tar+zstd; it is empty", nil},
		{"xz", "unknown media type|it looks like xz", []byte("\xfd7zXZ\x00\x00\x04" + strings.Repeat("x", 600))},
		{"bzip2", "it looks like bzip2", []byte("BZh91AY")},
		{"text", "it begins with 23212f62696e2f73", []byte("#!/bin/sh\n")},
		{"manifest", "it looks like JSON", []byte(`{"schemaVersion":2}`)},
		{"cut gzip", `entry "noise": gzip data is damaged or cut off at about byte`, asGzip[:len(asGzip)/2]},
		{"cut gzip header", "gzip data is damaged or cut off", asGzip[:5]},
		{"cut gzip checksum", `after entry "noise": gzip data is damaged or cut off`, asGzip[:len(asGzip)-1]},
		{"flipped gzip checksum", `after entry "noise": gzip data is damaged or cut off`, flip(asGzip, len(asGzip)-6)},
		{"flipped gzip", "gzip data is damaged", flip(asGzip, len(asGzip)/3)},
		{"garbage after gzip", `after entry "noise": gzip data is damaged`, slices.Concat(asGzip, []byte("garbage"))},
		{"cut zstd", `entry "noise": zstd data is damaged or cut off at about byte`, asZstd[:len(asZstd)/2]},
		{"cut zstd checksum", `entry "noise": zstd data is damaged`, asZstd[:len(asZstd)-1]},
		{"flipped zstd", "zstd data is damaged", flip(asZstd, len(asZstd)/2)},
		{"garbage after zstd", `after entry "noise": zstd data is damaged`, slices.Concat(asZstd, []byte("garbage"))},
		{"huge zstd window", "zstd data is damaged", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0}},
		{"cut tar in gzip", `entry "noise": the tar archive is cut off`, gz(t, plain[:5000])},
		{"gzip of gzip", "before the first entry: archive/tar: invalid tar header", gz(t, asGzip)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := packLayer(t, options(t, "none"), c.layer, 0)
			wantError(t, err, c.want)
		})
	}
}

// TestCutAnywhere cuts a small layer at every byte and flips every byte: always an error, or the same pack where gzip
// does not protect the byte (its header).
func TestCutAnywhere(t *testing.T) {
	plain := tarFile(t, "f", text(1, 600))
	for name, layer := range map[string][]byte{"gzip": gz(t, plain), "zstd": zst(t, plain)} {
		for i := range layer {
			if _, err := packLayer(t, options(t, "none"), layer[:i], 0); err == nil {
				t.Errorf("%s cut at byte %d of %d is accepted", name, i, len(layer))
			}
			b := slices.Clone(layer)
			b[i] ^= 0xff
			if stats, err := packLayer(t, options(t, "none"), b, 0); err == nil && (name != "gzip" || i >= 10) {
				t.Errorf("%s with byte %d of %d changed is accepted: %+v", name, i, len(layer), stats)
			}
		}
	}
}

func TestUnpackLimit(t *testing.T) {
	for size, want := range map[int64]int64{0: 1 << 30, 5 << 20: 1 << 30, 10 << 20: 2000 << 20, 100 << 20: 20000 << 20} {
		if got := UnpackLimit(size); got != want {
			t.Errorf("%d: %d, want %d", size, got, want)
		}
	}
}

func TestBomb(t *testing.T) {
	bomb := gz(t, tarFile(t, "bomb", make([]byte, 8<<20)))
	o := options(t, "none")
	_, err := packLayer(t, o, bomb, 1<<20)
	wantError(t, err, `entry "bomb": the files so far have more than 1048576 bytes`)

	// The same with a header that tells less than comes.
	members := slices.Concat(bomb, gz(t, make([]byte, 8<<20)))
	_, err = packLayer(t, o, members, 10<<20)
	wantError(t, err, `after entry "bomb": unpacks to more than 10485760 bytes, which its first|raise --max-unpacked-size`)

	if _, err := packLayer(t, o, members, 32<<20); err != nil {
		t.Error(err)
	}
}

// TestDecompressStops closes a stream that is read in part only.
func TestDecompressStops(t *testing.T) {
	in := &endless{}
	r, err := Decompress(io.MultiReader(bytes.NewReader(archive(t, header(0, "x", ""))), in), 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.Close()
	if in.n > 4<<20 {
		t.Errorf("%d bytes were read ahead", in.n)
	}
}

type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	e.n += len(p)
	return len(p), nil
}

func FuzzPackLayer(f *testing.F) {
	plain := tarFile(f, "f", text(1, 100))
	f.Add(plain)
	f.Add(gz(f, plain))
	f.Add(slices.Concat(gz(f, plain[:512]), gz(f, plain[512:])))
	f.Add(zst(f, plain))
	o := options(f, "none")
	o.Jobs = 1
	const max = 1 << 20
	f.Fuzz(func(t *testing.T, b []byte) {
		var stats Stats
		var err error
		fuzztest.Limit(t, 64<<20+2*maxZstdWindow, func() { stats, err = packLayer(t, o, b, max) })
		if err == nil && stats.Unpacked > max {
			t.Errorf("%+v", stats)
		}
	})
}
