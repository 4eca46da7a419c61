package deflate

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"testing"

	fastgzip "github.com/klauspost/compress/gzip"

	"github.com/fledge-build/fledge/internal/inflate"
)

// names are the inputs that are the same everywhere.
var names = []string{"zero", "noise", "text", "table", "mixed", "skewed", "bits", "period", "far", "tail", "four"}

// inputs returns data of many kinds, n bytes each.
func inputs(n int) map[string][]byte {
	rng := rand.New(rand.NewSource(1))
	noise := make([]byte, n)
	rng.Read(noise)
	words := []string{"the ", "block ", "of ", "a ", "file ", "system ", "is ", "compressed, ", "read ", "again\n"}
	var text, table, mixed []byte
	for len(text) < n {
		text = append(text, words[rng.Intn(len(words))]...)
	}
	for i := 0; len(table) < n; i++ {
		table = append(table, byte(i), byte(i>>8), byte(i>>16), 0, byte(rng.Intn(4)), 0, 0, 0x40)
	}
	for len(mixed) < n {
		k := 1 + rng.Intn(3000)
		switch rng.Intn(4) {
		case 0:
			mixed = append(mixed, bytes.Repeat([]byte{byte(rng.Intn(3))}, k)...)
		case 1, 2:
			from := [][]byte{noise, text}[rng.Intn(2)]
			o := rng.Intn(n - n/2)
			mixed = append(mixed, from[o:min(n, o+k)]...)
		case 3:
			o := rng.Intn(len(mixed) + 1)
			mixed = append(mixed, mixed[o:min(len(mixed), o+k)]...)
		}
	}
	skewed, bits, four := make([]byte, n), make([]byte, n), make([]byte, n)
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 9)
		bits[i] = byte(rng.Intn(2))
		four[i] = "ACGT"[rng.Intn(4)]
	}
	in := map[string][]byte{
		"zero": make([]byte, n), "noise": noise, "text": text[:n], "table": table[:n], "mixed": mixed[:n], "skewed": skewed,
		"bits": bits, "four": four,
		"period": bytes.Repeat([]byte("abcdefg"), n/7+1)[:n],
		"far":    bytes.Repeat(noise[:min(n, window)], n/window+1)[:n], // matches at the largest distance
		"tail":   append(make([]byte, n-n/3), noise[:n/3]...),
	}
	if exe, err := os.Executable(); err == nil {
		if f, err := os.Open(exe); err == nil {
			elf := make([]byte, n)
			k, _ := f.ReadAt(elf, 4096)
			in["elf"] = elf[:k]
			f.Close()
		}
	}
	return in
}

func newEncoder(t testing.TB, level int) *Encoder {
	t.Helper()
	e, err := NewEncoder(level, MaxChunk)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// compress writes src to a gzip stream in pieces that grow from the given size.
func compress(t testing.TB, e *Encoder, src []byte, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	z := NewGzipWriter(&out, e)
	for len(src) > 0 {
		n, err := z.Write(src[:min(len(src), piece)])
		if err != nil {
			t.Fatal(err)
		}
		src, piece = src[n:], piece+piece/3
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// bound is what a stream of n bytes takes at most: stored blocks, the end of each chunk, header and trailer.
func bound(n int) int {
	return n + 5*(n/maxStored+1) + 20*(n/MaxChunk+1) + 18
}

// check compresses src and has it unpacked by the reader of the standard library, or by all readers.
func check(t testing.TB, e *Encoder, src []byte, all bool) []byte {
	t.Helper()
	packed := compress(t, e, src, len(src)+1)
	if n := bound(len(src)); len(packed) > n {
		t.Errorf("%d bytes make %d, more than %d", len(src), len(packed), n)
	}
	readers := []func(io.Reader) (io.Reader, error){
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		func(r io.Reader) (io.Reader, error) { return fastgzip.NewReader(r) },
		func(r io.Reader) (io.Reader, error) { return inflate.NewReader(r) },
	}
	if !all {
		readers = readers[:1]
	}
	for i, open := range readers {
		r, err := open(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("reader %d, %d bytes: %v, same bytes: %v", i, len(src), err, bytes.Equal(got, src))
		}
	}
	return packed
}

func TestRoundTrip(t *testing.T) {
	sizes := []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 257, 258, 259, 260, 1023, 1024, 1025, window - 1, window, window + 1,
		65535, 65536, 70000}
	in := inputs(70000)
	large := inputs(MaxChunk + 70000)
	for level := MinLevel; level <= MaxLevel; level++ {
		e := newEncoder(t, level)
		for name, src := range in {
			for _, n := range sizes {
				t.Run(fmt.Sprintf("%d/%s/%d", level, name, n), func(t *testing.T) {
					check(t, e, src[len(src)-min(n, len(src)):], n == 259 || n == 65536)
				})
			}
		}
		for _, name := range []string{"mixed", "far", "noise", "elf"} {
			for _, n := range []int{MaxChunk - 1, MaxChunk, MaxChunk + 1, MaxChunk + 70000} {
				src := large[name]
				t.Run(fmt.Sprintf("%d/%s/%d", level, name, n), func(t *testing.T) {
					check(t, e, src[:min(n, len(src))], false)
				})
			}
		}
	}
}

// TestPieces checks that how data is written, and what an encoder did before, does not change the bytes.
func TestPieces(t *testing.T) {
	in := inputs(2*MaxChunk + 12345)
	for _, level := range []int{1, 6, 9} {
		used := newEncoder(t, level)
		for _, name := range []string{"mixed", "text", "zero"} {
			want := compress(t, newEncoder(t, level), in[name], 1<<30)
			for _, piece := range []int{1, 1000, window, MaxChunk} {
				if !bytes.Equal(compress(t, used, in[name], piece), want) {
					t.Errorf("level %d, %s in pieces of %d: other bytes", level, name, piece)
				}
			}
		}
	}
}

// TestWindow checks that a chunk's matches reach into what goes before it, as far as allowed and no farther.
func TestWindow(t *testing.T) {
	noise := inputs(1 << 18)["noise"]
	for _, c := range []struct {
		distance int
		found    bool
	}{{1000, true}, {window, true}, {window + 1, false}} {
		before := noise[:1<<17]
		data := before[len(before)-c.distance:][:900]
		n := len(newEncoder(t, 6).Append(nil, before, data, true))
		if (n < 100) != c.found {
			t.Errorf("900 bytes from %d before take %d bytes", c.distance, n)
		}
	}
}

func TestHeader(t *testing.T) {
	got := compress(t, newEncoder(t, 7), nil, 1)
	want, _ := hex.DecodeString("1f8b08000000000000ff" + "0300" + "00000000" + "00000000")
	if !bytes.Equal(got, want) {
		t.Errorf("an empty stream is %x, want %x", got, want)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ level, chunk int }{{0, 4096}, {10, 4096}, {-1, 4096}, {3, 0}, {3, -1}, {3, MaxChunk + 1}} {
		if _, err := NewEncoder(c.level, c.chunk); err == nil {
			t.Errorf("NewEncoder(%d, %d): no error", c.level, c.chunk)
		}
	}
	full := errors.New("disk full")
	z := NewChunkWriter(func(Chunk) error { return full })
	if _, err := z.Write(make([]byte, MaxChunk+1)); !errors.Is(err, full) {
		t.Errorf("Write: %v", err)
	}
	if err := z.Close(); !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
}

func TestNoAllocation(t *testing.T) {
	src := inputs(1 << 16)["mixed"]
	for level := MinLevel; level <= MaxLevel; level++ {
		e := newEncoder(t, level)
		dst := e.Append(nil, nil, src, true)
		if n := testing.AllocsPerRun(3, func() { dst = e.Append(dst[:0], nil, src, true) }); n != 0 {
			t.Errorf("level %d: %v allocations", level, n)
		}
	}
}

// TestLevels checks that a higher level makes no more bytes of what is like a file.
func TestLevels(t *testing.T) {
	src := inputs(1 << 19)["elf"]
	last := len(src)
	for level := MinLevel; level <= MaxLevel; level++ {
		n := len(compress(t, newEncoder(t, level), src, 1<<20))
		if n > last {
			t.Errorf("level %d makes %d bytes, the one below %d", level, n, last)
		}
		last = n
	}
}

// TestGolden notices any change of the bytes: layers packed by an earlier version would no longer be found in caches.
func TestGolden(t *testing.T) {
	in := inputs(1 << 17)
	for level, want := range golden {
		e := newEncoder(t, level+MinLevel)
		h := sha256.New()
		for _, name := range names {
			h.Write(compress(t, e, in[name], 1<<20))
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
			t.Errorf("level %d: %q, want %q", level+MinLevel, got, want)
		}
	}
}

// golden are the first bytes of the SHA-256 of all inputs by level.
var golden = [MaxLevel]string{
	"07505642057a39d5", "ad10e61849e23a34", "928b1b916ef0f903", "09c03cc76b37ff0d", "95afa0d8e742e700",
	"071f82e0062a0779", "0d2153ea4af3e59f", "5ff68138b2b39bf5", "3aa133ab03ec6a23",
}

// TestReference unpacks with the programs that most people use.
func TestReference(t *testing.T) {
	in := inputs(MaxChunk + 1000)
	var packed, want []byte
	for level := MinLevel; level <= MaxLevel; level++ {
		e := newEncoder(t, level)
		for _, name := range append(names, "elf") {
			for _, n := range []int{0, 1, 5, 300, 70000} {
				src := in[name][:min(n, len(in[name]))]
				packed, want = append(packed, compress(t, e, src, n+1)...), append(want, src...)
			}
		}
		packed, want = append(packed, compress(t, e, in["mixed"], 1<<20)...), append(want, in["mixed"]...)
	}
	for _, name := range []string{"gzip", "pigz"} {
		t.Run(name, func(t *testing.T) {
			tool, err := exec.LookPath(name)
			if err != nil {
				t.Skipf("no %s command", name)
			}
			cmd := exec.Command(tool, "-dc")
			cmd.Stdin = bytes.NewReader(packed)
			if got, err := cmd.Output(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s -d: %v, same bytes: %v", name, err, bytes.Equal(got, want))
			}
		})
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, src := range inputs(3000) {
		f.Add(uint8(5), src, uint8(0), uint16(0))
		f.Add(uint8(8), src, uint8(40), uint16(1000))
	}
	encoders := map[int]*Encoder{}
	f.Fuzz(func(t *testing.T, level uint8, src []byte, repeat uint8, split uint16) {
		l := int(level)%MaxLevel + 1
		if encoders[l] == nil {
			encoders[l] = newEncoder(t, l)
		}
		src = bytes.Repeat(src, 1+int(repeat))
		src = src[:min(len(src), MaxChunk)]
		whole := check(t, encoders[l], src, false)
		// The same in two chunks.
		n := min(int(split), len(src))
		packed := []byte(gzipHeader)
		packed = encoders[l].Append(packed, nil, src[:n], false)
		packed = encoders[l].Append(packed, src[:n], src[n:], true)
		packed = append(packed, whole[len(whole)-8:]...) // the trailer
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("two chunks: %v", err)
		}
	})
}
