package lz4fill

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/pierrec/lz4/v4"
)

func inputs() map[string][]byte {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var text, mixed []byte
	for i := 0; len(text) < 300_000; i++ {
		text = fmt.Appendf(text, "line %d: %d\n", i, r.IntN(1000))
	}
	for i := 0; len(mixed) < 300_000; i++ {
		mixed = append(append(mixed, noise[i*100:i*100+100]...), text[i*37:i*37+r.IntN(300)]...)
	}
	return map[string][]byte{
		"empty": {}, "one": {'x'}, "twelve": []byte("aaaaaaaaaaaa"), "thirteen": []byte("aaaaaaaaaaaaa"),
		"noise": noise, "text": text, "mixed": mixed, "zeros": make([]byte, 3<<20),
		"far": append(append(bytes.Clone(noise[:65535]), noise[:70000]...), noise[:1000]...),
	}
}

// A library that was written independently unpacks every block, and the blocks keep within their limit.
func TestAgainstLibrary(t *testing.T) {
	e := &Encoder{}
	for name, src := range inputs() {
		for _, limit := range []int{16, 17, 100, 4096, 16384, 65536, 4 << 20} {
			rest := src[:min(len(src), 600*limit)]
			for len(rest) > 0 {
				out, used := e.Fill([]byte("before"), rest, limit)
				block := out[len("before"):]
				if used == 0 || len(block) > limit {
					t.Fatalf("%s, limit %d: %d bytes into %d", name, limit, used, len(block))
				}
				got := make([]byte, used)
				n, err := lz4.UncompressBlock(block, got)
				if err != nil || n != used || !bytes.Equal(got, rest[:used]) {
					t.Fatalf("%s, limit %d: unpacks to %d of %d bytes, error %v", name, limit, n, used, err)
				}
				if used < min(len(rest), maxInputBytes) && len(block) < limit-20 {
					t.Errorf("%s, limit %d: the block has only %d bytes", name, limit, len(block))
				}
				rest = rest[used:]
			}
		}
	}
}

// The end of a block is what the format's rules want: the last match begins 12 bytes before the end or earlier, and five
// literals follow it.
func TestEndOfBlock(t *testing.T) {
	e := &Encoder{}
	for name, src := range inputs() {
		for limit := 16; limit < 400; limit++ {
			out, used := e.Fill(nil, src, limit)
			if start, literals := lastSequence(out); start >= 0 && (literals < 5 || used-start < 12) {
				t.Fatalf("%s, limit %d: last match at %d of %d, %d literals after it", name, limit, start, used, literals)
			}
		}
	}
}

// A block that is cut is the one that a smaller limit makes.
func TestCut(t *testing.T) {
	e, other := &Encoder{}, &Encoder{}
	for name, src := range inputs() {
		out, _ := e.Fill([]byte("before"), src, 16*PageSize)
		for pages := 1; pages*PageSize < len(out)-len("before"); pages++ {
			got, used := e.Cut(nil, out, src, pages)
			if want, n := other.Fill(nil, src, pages*PageSize); used != n || !bytes.Equal(got, want) {
				t.Errorf("%s, %d pages: %d bytes for %d, want %d for %d", name, pages, len(got), used, len(want), n)
			}
		}
	}
}

// lastSequence finds where the last match of a block begins, -1 when there is none, and the literals after it.
func lastSequence(b []byte) (start, literals int) {
	length := func(n int, p *int) int {
		for n == 15 || n > 15 && b[*p-1] == 255 {
			n += int(b[*p])
			*p++
			if b[*p-1] != 255 {
				break
			}
		}
		return n
	}
	start = -1
	for p, at := 0, 0; ; {
		token := int(b[p])
		p++
		literals = length(token>>4, &p)
		p, at = p+literals, at+literals
		if p == len(b) {
			return start, literals
		}
		p += 2
		start = at
		at += minMatch + length(token&15, &p)
	}
}

func BenchmarkFill(b *testing.B) {
	src, err := os.ReadFile("/usr/local/go/bin/go")
	if err != nil {
		b.Skip(err)
	}
	src = src[:8<<20]
	e := &Encoder{}
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		total := 0
		for rest := src; len(rest) > 0; {
			out, used := e.Fill(nil, rest, 65536)
			total += len(out)
			rest = rest[used:]
		}
		b.ReportMetric(float64(total)/float64(len(src)), "ratio")
	}
}
