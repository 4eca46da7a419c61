package zstdblock

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// inputs returns named blocks of many kinds, none longer than max.
func inputs(max int) map[string][]byte {
	rng := rand.New(rand.NewSource(1))
	noise := make([]byte, max)
	rng.Read(noise)
	words := []string{"the ", "block ", "of ", "a ", "file ", "system ", "is ", "compressed, ", "read ", "again\n"}
	var text, table, mixed []byte
	for len(text) < max {
		text = append(text, words[rng.Intn(len(words))]...)
	}
	for i := 0; len(table) < max; i++ {
		table = append(table, byte(i), byte(i>>8), byte(i>>16), 0, byte(rng.Intn(4)), 0, 0, 0x40)
	}
	for len(mixed) < max {
		n := 1 + rng.Intn(3000)
		switch rng.Intn(4) {
		case 0:
			mixed = append(mixed, bytes.Repeat([]byte{byte(rng.Intn(3))}, n)...)
		case 1:
			o := rng.Intn(max - max/2)
			mixed = append(mixed, noise[o:min(max, o+n)]...)
		case 2:
			o := rng.Intn(max - max/2)
			mixed = append(mixed, text[o:min(max, o+n)]...)
		case 3:
			o := rng.Intn(len(mixed) + 1)
			mixed = append(mixed, mixed[o:min(len(mixed), o+n)]...)
		}
	}
	skewed := make([]byte, max)
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 9)
	}
	bits := make([]byte, max)
	for i := range bits {
		bits[i] = byte(rng.Intn(2))
	}
	in := map[string][]byte{
		"zero":   make([]byte, max),
		"noise":  noise,
		"text":   text[:max],
		"table":  table[:max],
		"mixed":  mixed[:max],
		"skewed": skewed,
		"bits":   bits,
		"period": bytes.Repeat([]byte("abcdefg"), max/7+1)[:max],
		"tail":   append(make([]byte, max-max/3), noise[:max/3]...),
	}
	if exe, err := os.Executable(); err == nil {
		if f, err := os.Open(exe); err == nil {
			elf := make([]byte, max)
			n, _ := f.ReadAt(elf, 4096)
			in["elf"] = elf[:n]
			f.Close()
		}
	}
	return in
}

func check(t *testing.T, d *zstd.Decoder, e *Encoder, src []byte) []byte {
	t.Helper()
	frame := e.Encode(nil, src)
	got, err := d.DecodeAll(frame, nil)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(src), err)
	}
	if !bytes.Equal(got, src) {
		t.Fatalf("%d bytes: decoded otherwise", len(src))
	}
	var h zstd.Header
	if err := h.Decode(frame); err != nil || !h.SingleSegment || h.HasCheckSum || h.FrameContentSize != uint64(len(src)) {
		t.Fatalf("%d bytes: header %+v, %v", len(src), h, err)
	}
	return frame
}

func newDecoder(t testing.TB) *zstd.Decoder {
	t.Helper()
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestRoundTrip(t *testing.T) {
	d := newDecoder(t)
	sizes := []int{0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 100, 255, 256, 257, 1000, 1023, 1024, 1025,
		4095, 4096, 4097, 16383, 16384, 65791, 65792, 65793, 1<<17 - 1, 1 << 17, 1<<17 + 1, 300000, 1 << 20}
	in := inputs(1 << 20)
	for level := MinLevel; level <= MaxLevel; level++ {
		t.Run(fmt.Sprintf("level%d", level), func(t *testing.T) {
			for _, max := range []int{4096, 1 << 17, 1 << 20} {
				e, err := NewEncoder(level, max)
				if err != nil {
					t.Fatal(err)
				}
				for name, src := range in {
					t.Run(fmt.Sprintf("%s/%d", name, max), func(t *testing.T) {
						for _, n := range sizes {
							if n > max || n > len(src) || testing.Short() && n > 1<<17 {
								continue
							}
							check(t, d, e, src[:n])
							check(t, d, e, src[len(src)-n:])
						}
					})
				}
			}
		})
	}
}
