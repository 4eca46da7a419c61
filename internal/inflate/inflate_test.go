package inflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// inputs are contents that take different ways through the decoder.
func inputs() map[string][]byte {
	x := uint32(1)
	random := func() byte {
		x = x*1664525 + 1013904223
		return byte(x >> 24)
	}
	noise := make([]byte, 300<<10)
	skewed := make([]byte, 300<<10)
	var text []byte
	for i := range noise {
		noise[i] = random()
		skewed[i] = random() & random() & random()
	}
	for i := 0; len(text) < 500<<10; i++ {
		text = fmt.Appendf(text, "%d: a line about %x and %s\n", i, random(), strings.Repeat("ab", int(random())%40))
	}
	periods := []byte{}
	for period := 1; period < 40; period++ {
		periods = append(periods, bytes.Repeat(noise[:period], 2000/period)...)
	}
	return map[string][]byte{
		"empty": {}, "byte": {'x'}, "zeros": make([]byte, 1<<20), "noise": noise, "skewed": skewed, "text": text,
		"periods": periods, "far": slices.Concat(text[:300], noise[:32<<10-300], text[:300], noise[:32<<10-258], text[:300]),
	}
}

func compress(t testing.TB, level int, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(r io.Reader) ([]byte, error) {
	z, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func TestRead(t *testing.T) {
	for name, data := range inputs() {
		for _, level := range []int{gzip.HuffmanOnly, gzip.NoCompression, 1, 6, 9} {
			b := compress(t, level, data)
			if got, err := read(bytes.NewReader(b)); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s at level %d: %d bytes of %d, error %v", name, level, len(got), len(data), err)
			}
			if got, err := read(iotest.HalfReader(bytes.NewReader(b))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s at level %d, read in halves: %d bytes of %d, error %v", name, level, len(got), len(data), err)
			}
		}
	}
	b := compress(t, 6, inputs()["text"][:70000])
	z, err := NewReader(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(z, inputs()["text"][:70000]); err != nil {
		t.Error(err)
	}
}

// TestFixed reads blocks of the fixed code, which gzip.Writer makes of short contents only.
func TestFixed(t *testing.T) {
	for _, text := range []string{"a", "abcabcabcabc", strings.Repeat("long matches ", 300), "\xff\xfe\x90\x8f"} {
		b := compress(t, 9, []byte(text))
		if kind := b[10] >> 1 & 3; kind != 1 && len(text) < 20 {
			t.Errorf("%.10q: block type %d", text, kind)
		}
		if got, err := read(bytes.NewReader(b)); err != nil || string(got) != text {
			t.Errorf("%.10q: %q, error %v", text, got, err)
		}
	}
}

func TestMembers(t *testing.T) {
	data := inputs()["text"]
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra")
	w.Write(data)
	w.Flush()
	w.Write(data[:9])
	w.Close()
	members := slices.Concat(compress(t, 6, data[:1000]), compress(t, 6, nil), named.Bytes(), compress(t, 0, data))
	want := slices.Concat(data[:1000], data, data[:9], data)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(members), "one byte": iotest.OneByteReader(bytes.NewReader(members)),
		"end with the data": iotest.DataErrReader(bytes.NewReader(members)),
	} {
		if got, err := read(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, error %v", name, len(got), len(want), err)
		}
	}
}

// member is a gzip member around raw deflate data, with the checksum of nothing.
func member(deflate ...byte) []byte {
	return slices.Concat([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, deflate, make([]byte, 8))
}

func TestErrors(t *testing.T) {
	good := compress(t, 6, inputs()["text"][:5000])
	flip := func(at int) []byte {
		b := slices.Clone(good)
		b[at] ^= 0xff
		return b
	}
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"nothing", "unexpected EOF", nil},
		{"half a header", "unexpected EOF", good[:5]},
		{"no header", "not a gzip header", flip(1)},
		{"method", "unknown method 247", flip(2)},
		{"flags", "unknown flags: 0xff", flip(3)},
		{"header checksum", "wrong checksum of a gzip header", slices.Concat([]byte{0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0, 0, 0}, good[10:])},
		{"cut", "unexpected EOF", good[:len(good)/2]},
		{"no trailer", "unexpected EOF", good[:len(good)-8]},
		{"half a trailer", "unexpected EOF", good[:len(good)-1]},
		{"checksum", "wrong checksum", flip(len(good) - 8)},
		{"size", "wrong size", flip(len(good) - 1)},
		{"garbage", "not a gzip header", append(slices.Clone(good), 'x', 'y', 'z', 'w')},
		{"block type", "block type", member(7)},
		{"stored length", "length of a stored block", member(1, 1, 0, 1, 0)},
		{"match before the beginning", "match before the beginning", member(3, 2)},
		{"symbol 286", "symbol without a code", member(0x1b, 3)},
		{"too many symbols", "too many symbols", member(0xfd, 0xff, 0xff)},
		{"too many codes", "too many codes", member(0x05, 0, 0x92, 4, 0)},
		{"too few codes", "too few codes", member(0x05, 0, 0, 2, 0, 0)},
	} {
		_, err := read(bytes.NewReader(c.b))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	broken := errors.New("broken pipe")
	if _, err := read(io.MultiReader(bytes.NewReader(good[:100]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// TestCutAndFlipped compares with the standard library what becomes of damaged data.
func TestCutAndFlipped(t *testing.T) {
	for _, level := range []int{gzip.HuffmanOnly, 0, 6} {
		good := compress(t, level, inputs()["text"][:900])
		for i := range good {
			compare(t, good[:i])
			for _, change := range []byte{1, 0x10, 0xff} {
				b := slices.Clone(good)
				b[i] ^= change
				compare(t, b)
			}
		}
	}
}

// compare reads b with this package and with the standard library.
func compare(t *testing.T, b []byte) {
	t.Helper()
	got, err := read(bytes.NewReader(b))
	if errors.Is(err, errFlags) {
		return // which the standard library overlooks
	}
	var want []byte
	z, wantErr := gzip.NewReader(bytes.NewReader(b))
	if wantErr == nil {
		want, wantErr = io.ReadAll(z)
	}
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%x: error %v, the standard library %v", b, err, wantErr)
	}
	// Before an error, the standard library may keep back what it decoded.
	if err == nil && !bytes.Equal(got, want) || !bytes.HasPrefix(got, want) {
		t.Errorf("%x: %d bytes, the standard library %d; error %v", b, len(got), len(want), err)
	}
}

func FuzzRead(f *testing.F) {
	text := inputs()["text"]
	for _, level := range []int{gzip.HuffmanOnly, 0, 1, 9} {
		f.Add(compress(f, level, text[:2000]))
		f.Add(slices.Concat(compress(f, level, text[:10]), compress(f, level, nil)))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compare(t, b) })
}

// FuzzDeflate gives raw deflate data a header and a trailer that is right for it, so that more gets through.
func FuzzDeflate(f *testing.F) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	w.Write(inputs()["text"][:3000])
	w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, deflate []byte) {
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflate)), 1<<20))
		z := &inflater{src: bytes.NewReader(deflate)}
		z.reset()
		var got []byte
		var gotErr error
		for z.state != atEnd && gotErr == nil && len(got) < 1<<20 {
			gotErr = z.decode()
			got = append(got, z.out[z.rp:z.op]...)
			z.rp = z.op
		}
		if len(want) < 1<<20 && (err == nil) != (gotErr == nil) || !bytes.HasPrefix(got, want) {
			t.Errorf("%d bytes, the standard library %d; errors %v and %v", len(got), len(want), gotErr, err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for name, data := range inputs() {
		if len(data) < 100<<10 {
			continue
		}
		z := compress(b, 6, data)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := read(bytes.NewReader(z)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
