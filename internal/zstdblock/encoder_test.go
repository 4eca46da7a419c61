package zstdblock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
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
		t.Run(fmt.Sprint(level), func(t *testing.T) {
			for _, max := range []int{4096, 1 << 17, 1 << 20} {
				if max == 1<<20 && level%3 != 0 {
					continue // the parsers differ by level, what large blocks do to them does not
				}
				e, err := NewEncoder(level, max)
				if err != nil {
					t.Fatal(err)
				}
				for name, src := range in {
					for _, n := range sizes {
						if n > max || n > len(src) || n > 1<<17 && (testing.Short() || name != "mixed" && name != "elf") {
							continue
						}
						if n > 257 && n < max && name != "mixed" && name != "bits" {
							continue
						}
						t.Run(fmt.Sprintf("%s/%d/%d", name, max, n), func(t *testing.T) {
							check(t, d, e, src[len(src)-n:])
						})
					}
				}
			}
		})
	}
}

// TestReuse checks that bytes depend on nothing an encoder did before, also when its positions start over.
func TestReuse(t *testing.T) {
	in := inputs(1 << 17)
	for level := MinLevel; level <= MaxLevel; level++ {
		used, err := NewEncoder(level, 1<<17)
		if err != nil {
			t.Fatal(err)
		}
		rounds := 1
		if level == 3 || level == 6 || level == 10 {
			rounds = 14 // 18 MB: more than posMask
		}
		want := map[string][]byte{}
		for range rounds {
			for name, src := range in {
				if want[name] == nil {
					fresh, err := NewEncoder(level, 1<<17)
					if err != nil {
						t.Fatal(err)
					}
					want[name] = fresh.Encode(nil, src)
				}
				if !bytes.Equal(used.Encode(nil, src), want[name]) {
					t.Fatalf("level %d, %s: other bytes from a used encoder", level, name)
				}
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	src := inputs(1 << 16)["mixed"]
	for level := MinLevel; level <= MaxLevel; level++ {
		e, err := NewEncoder(level, 1<<17)
		if err != nil {
			t.Fatal(err)
		}
		dst := e.Encode(nil, src)
		if n := testing.AllocsPerRun(3, func() { dst = e.Encode(dst[:0], src) }); n != 0 {
			t.Errorf("level %d: %v allocations", level, n)
		}
	}
}

// TestAppendsAndSplits checks tiny block sizes, several frames and what is in dst before.
func TestAppendsAndSplits(t *testing.T) {
	d := newDecoder(t)
	src := inputs(1 << 12)["mixed"]
	for level := MinLevel; level <= MaxLevel; level++ {
		for _, max := range []int{1, 2, 3, 9, 255, 1000} {
			e, err := NewEncoder(level, max)
			if err != nil {
				t.Fatal(err)
			}
			out := e.Encode([]byte("kept"), src)
			if !bytes.HasPrefix(out, []byte("kept")) {
				t.Fatal("dst is gone")
			}
			if got, err := d.DecodeAll(out[4:], nil); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("level %d, blocks of %d: %v", level, max, err)
			}
		}
	}
}

func TestNewEncoderErrors(t *testing.T) {
	for _, c := range []struct{ level, size int }{{0, 4096}, {23, 4096}, {-1, 4096}, {3, 0}, {3, -1}, {3, 1<<20 + 1}} {
		if _, err := NewEncoder(c.level, c.size); err == nil {
			t.Errorf("NewEncoder(%d, %d): no error", c.level, c.size)
		}
	}
}

// TestGolden notices any change of the bytes: layers packed by an earlier version would no longer be found in caches.
func TestGolden(t *testing.T) {
	in := inputs(1 << 17)
	for _, g := range golden {
		e, err := NewEncoder(g.level, 1<<17)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for _, name := range []string{"zero", "noise", "text", "table", "mixed", "skewed", "bits", "period", "tail"} {
			h.Write(e.Encode(nil, in[name]))
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != g.sum {
			t.Errorf("level %d: %s, want %s", g.level, got, g.sum)
		}
	}
	e, _ := NewEncoder(15, 4096)
	if got := hex.EncodeToString(e.Encode(nil, bytes.Repeat([]byte("fledge "), 40))); got != goldenFrame {
		t.Errorf("frame %s, want %s", got, goldenFrame)
	}
}

// TestDivision: a block is divided where its content changes, and no further, because each part brings tables that have to be
// stored and built.
func TestDivision(t *testing.T) {
	in := inputs(1 << 17)
	e, err := NewEncoder(15, 1<<17)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"bits": 1, "skewed": 2, "mixed": 6} {
		if got := zstdBlocks(e.Encode(nil, in[name])); got != want {
			t.Errorf("%s: %d zstd blocks, want %d", name, got, want)
		}
	}
}

// zstdBlocks counts the blocks of a frame as Encoder writes it (RFC 8878, section 3.1.1).
func zstdBlocks(frame []byte) (n int) {
	const magicAndDescriptor = 5
	contentSize := []int{1, 2, 4, 8}[frame[4]>>6]
	rest := frame[magicAndDescriptor+contentSize:]
	for last := false; !last; n++ {
		header := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		last = header&1 == 1
		size := header >> 3
		if header>>1&3 == 1 { // one byte that is repeated
			size = 1
		}
		rest = rest[3+size:]
	}
	return n
}

// TestReference decodes with the zstd command, which is libzstd.
func TestReference(t *testing.T) {
	tool, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("no zstd command")
	}
	in := inputs(1 << 20)
	for level := MinLevel; level <= MaxLevel; level++ {
		e, err := NewEncoder(level, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var frames, want []byte
		for _, name := range []string{"zero", "noise", "text", "table", "mixed", "skewed", "bits", "period", "tail", "elf"} {
			for _, n := range []int{0, 1, 5, 300, 4096, 70000, 1 << 17, 1<<17 + 1} {
				src := in[name][:min(n, len(in[name]))]
				frames = e.Encode(frames, src)
				want = append(want, src...)
			}
		}
		frames = e.Encode(frames, in["mixed"])
		want = append(want, in["mixed"]...)
		cmd := exec.Command(tool, "-dc")
		cmd.Stdin = bytes.NewReader(frames)
		got, err := cmd.Output()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("level %d: zstd -d: %v, same bytes: %v", level, err, bytes.Equal(got, want))
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, src := range inputs(3000) {
		f.Add(uint8(15), src, uint8(0))
		f.Add(uint8(3), src, uint8(40))
	}
	d := newDecoder(f)
	encoders := map[[2]int]*Encoder{}
	f.Fuzz(func(t *testing.T, level uint8, src []byte, repeat uint8) {
		l := int(level)%MaxLevel + 1
		src = bytes.Repeat(src, 1+int(repeat))
		max := 1 << 17
		if level >= 128 {
			max = 1 << 20
		}
		src = src[:min(len(src), max)]
		e := encoders[[2]int{l, max}]
		if e == nil {
			var err error
			if e, err = NewEncoder(l, max); err != nil {
				t.Fatal(err)
			}
			encoders[[2]int{l, max}] = e
		}
		check(t, d, e, src)
	})
}

const goldenFrame = "28b52ffd60180075000038666c656467652001000e528b11"

var golden = []struct {
	level int
	sum   string
}{
	{1, "b616998a265f430a"},
	{3, "06ec9b87ed722f1e"},
	{6, "fb74c28a6f021878"},
	{9, "5e86be63886a6baa"},
	{12, "ba366605a09d8495"},
	{15, "9ad229cdf9e2d0f3"},
	{19, "a376d1ddeef68797"},
	{22, "755143c83472f132"},
}
