package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

// sample is n bytes that look a little like a file of an image: words, numbers and machine code. It depends on seed
// alone.
func sample(seed uint64, n int) []byte {
	next := func(k uint64) uint64 { // xorshift64*
		seed ^= seed >> 12
		seed ^= seed << 25
		seed ^= seed >> 27
		return (seed * 0x2545f4914f6cdd1d) >> 33 % k
	}
	words := strings.Fields("the of return static const unsigned int license package depends version usr lib share doc " +
		"copyright struct include define error string value function module import class self none true false")
	var b []byte
	for len(b) < n {
		switch next(4) {
		case 0:
			for range 5 + next(60) {
				b = append(b, words[next(uint64(len(words)))]...)
				b = append(b, " \n,("[next(4)])
			}
		case 1:
			b = fmt.Appendf(b, "%d:%x;", next(1<<20), next(1<<30))
		case 2:
			for range next(40) {
				b = append(b, 0x48, 0x8b, byte(next(8))<<3|0x44, 0x24, byte(next(16))*8, 0xe8)
				b = binary.LittleEndian.AppendUint32(b, uint32(next(1<<16)))
			}
		case 3:
			back := 1 + int(next(uint64(len(b)+1)))
			b = append(b, b[max(0, len(b)-back):min(len(b), len(b)-back+300)]...)
		}
	}
	return b[:n]
}

func noise(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// inputs are blocks of all kinds for a block size.
func inputs(blockSize int) map[string][]byte {
	return map[string][]byte{
		"one byte":   {'x'},
		"short":      []byte("short"),
		"text":       sample(1, blockSize),
		"odd length": sample(2, blockSize/2+17),
		"zeros":      make([]byte, blockSize),
		"pattern":    bytes.Repeat([]byte("0123456789abc"), blockSize/13+1)[:blockSize],
		"noise":      noise(blockSize),
		"metadata":   sample(3, metadataSize),
		"growing":    append(noise(blockSize-40), noise(40)...), // a match where the output is longer than the block
	}
}

func allSpecs() []Spec {
	list := []Spec{{"none", 0}, {"xz", 0}, {"lz4", 0}}
	for _, level := range []int{1, 3, 6, 9, 15, 19, 22} {
		list = append(list, Spec{"zstd", level})
	}
	for level := 1; level <= 9; level++ {
		list = append(list, Spec{"gzip", level})
	}
	return list
}

func newCodec(t testing.TB, s Spec, blockSize int) (Encoder, Decoder) {
	t.Helper()
	e, err := s.NewEncoder(blockSize)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(s.ID())
	if err != nil {
		t.Fatal(err)
	}
	return e, d
}

func TestRoundTrip(t *testing.T) {
	for _, s := range allSpecs() {
		for _, blockSize := range []int{MinBlockSize, DefaultBlockSize, MaxBlockSize} {
			t.Run(fmt.Sprintf("%v/%d", s, blockSize), func(t *testing.T) {
				e, d := newCodec(t, s, blockSize)
				for name, src := range inputs(blockSize) {
					if err := roundTrip(e, d, s, blockSize, src); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
}

// roundTrip encodes and decodes src behind a prefix, with an encoder that was used before and with a new one.
func roundTrip(e Encoder, d Decoder, s Spec, blockSize int, src []byte) error {
	prefix := []byte("before")
	out, stored, err := EncodeBlock(e, prefix, src)
	if err != nil {
		return err
	}
	block, ok := bytes.CutPrefix(out, prefix)
	if !ok {
		return fmt.Errorf("dst is not kept")
	}
	fresh, err := s.NewEncoder(blockSize)
	if err != nil {
		return err
	}
	if again, stored2, err := EncodeBlock(fresh, nil, src); err != nil || stored2 != stored || !bytes.Equal(again, block) {
		return fmt.Errorf("a new encoder makes other bytes (%d and %d, error %v)", len(again), len(block), err)
	}
	if stored {
		if !bytes.Equal(block, src) {
			return fmt.Errorf("stored block differs")
		}
		return nil
	}
	if len(block) >= len(src) {
		return fmt.Errorf("%d bytes became %d and are not stored as they are", len(src), len(block))
	}
	got, err := d.Decode(prefix, block, len(src))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, append(prefix, src...)) {
		return fmt.Errorf("content differs")
	}
	if _, err := d.Decode(nil, block, len(src)-1); err == nil {
		return fmt.Errorf("decoded although one byte too long")
	}
	return nil
}

func TestParseSpec(t *testing.T) {
	for _, c := range []struct {
		name  string
		level int
		want  Spec
		id    uint16
		err   string
	}{
		{"zstd", 0, Spec{"zstd", 15}, 6, ""},
		{"zstd", 22, Spec{"zstd", 22}, 6, ""},
		{"zstd", 23, Spec{}, 0, "zstd has no level 23: use 1 to 22"},
		{"zstd", -1, Spec{}, 0, "no level -1"},
		{"gzip", 0, Spec{"gzip", 9}, 1, ""},
		{"gzip", 10, Spec{}, 0, "use 1 to 9"},
		{"xz", 9, Spec{"xz", 0}, 4, ""},
		{"lz4", 0, Spec{"lz4", 0}, 5, ""},
		{"none", 3, Spec{"none", 0}, 1, ""},
		{"lzo", 0, Spec{}, 0, `unknown compressor "lzo": use zstd, gzip, xz, lz4 or none`},
	} {
		got, err := ParseSpec(c.name, c.level)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s %d: error %v, want %q", c.name, c.level, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want || got.ID() != c.id {
			t.Errorf("%s %d: %v with id %d, error %v", c.name, c.level, got, got.ID(), err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{"zstd", 15}, ""},
		{Spec{"zstd", 3}, "03000000"},
		{Spec{"gzip", 9}, ""},
		{Spec{"gzip", 6}, "060000000f000000"},
		{Spec{"xz", 0}, ""},
		{Spec{"lz4", 0}, "0100000001000000"},
		{Spec{"none", 0}, ""},
	} {
		if got := hex.EncodeToString(c.spec.Options(DefaultBlockSize)); got != c.want {
			t.Errorf("%v: %s, want %s", c.spec, got, c.want)
		}
	}
}

func TestNewEncoderRejects(t *testing.T) {
	for _, n := range []int{0, -4096, 2048, 5000, 2 << 20} {
		if _, err := (Spec{"zstd", 3}).NewEncoder(n); err == nil {
			t.Errorf("block size %d is accepted", n)
		}
	}
	if _, err := (Spec{"lzo", 0}).NewEncoder(4096); err == nil {
		t.Error("lzo is accepted")
	}
	if _, err := NewDecoder(2); err == nil {
		t.Error("a decoder for lzma is made")
	}
}

// TestFormats checks what the kernel's decoders need and a round trip through the same library would not show.
func TestFormats(t *testing.T) {
	encode := func(name string, blockSize int) []byte {
		s, err := ParseSpec(name, 0)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := newCodec(t, s, blockSize)
		out, stored, err := EncodeBlock(e, nil, sample(1, blockSize))
		if err != nil || stored {
			t.Fatal(stored, err)
		}
		return out
	}
	for _, blockSize := range []int{MinBlockSize, DefaultBlockSize, MaxBlockSize} {
		// RFC 8878, section 3.1.1.1: single segment, with content size, no checksum, no dictionary.
		frame := encode("zstd", blockSize)
		if flags := frame[4]; flags&0x27 != 0x20 {
			t.Errorf("zstd, %d: frame header descriptor %#x", blockSize, flags)
		}
		// RFC 1950, section 2.2: deflate with a window of 32 KiB, no dictionary.
		if z := encode("gzip", blockSize); z[0] != 0x78 || z[1]&0x20 != 0 {
			t.Errorf("gzip, %d: header %x", blockSize, z[:2])
		}
		dictionary, _, err := xzHeader(encode("xz", blockSize))
		if err != nil || dictionary != blockSize {
			t.Errorf("xz, %d: dictionary %d, error %v", blockSize, dictionary, err)
		}
	}
}

// TestPeers has the tools of the formats read what the encoders make.
func TestPeers(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		args []string
	}{
		{Spec{"zstd", 15}, []string{"zstd", "-dc"}},
		{Spec{"xz", 0}, []string{"xz", "-dc"}},
		{Spec{"gzip", 9}, []string{"pigz", "-dzc"}},
	} {
		t.Run(c.spec.Name, func(t *testing.T) {
			if _, err := exec.LookPath(c.args[0]); err != nil {
				t.Skipf("%s is not installed", c.args[0])
			}
			e, _ := newCodec(t, c.spec, DefaultBlockSize)
			src := sample(4, DefaultBlockSize)
			out, err := e.Encode(nil, src)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(c.args[0], c.args[1:]...)
			cmd.Stdin = bytes.NewReader(out)
			if got, err := cmd.Output(); err != nil || !bytes.Equal(got, src) {
				t.Errorf("%v: %d bytes, error %v", c.args, len(got), err)
			}
		})
	}
}

// goldenSums are the first bytes of the SHA-256 of what each Spec makes of three blocks. They must be the same on every
// machine and in every build (also with -tags noasm): images and cache entries depend on them. A new version of a
// compressor that changes them is a change users see. Package zstdblock has its own.
var goldenSums = map[Spec]string{
	{"none", 0}: "ac9e9aca55883bc9",
	{"xz", 0}:   "0791681da245fac4",
	{"lz4", 0}:  "80ce56a8daab89ba",
	{"gzip", 1}: "b862539d07eb6b8f",
	{"gzip", 2}: "1883dfed92f35fd9",
	{"gzip", 3}: "d6fbf084f1c1486b",
	{"gzip", 4}: "55399a838005850a",
	{"gzip", 5}: "e79bfde690551ddb",
	{"gzip", 6}: "0ffaf8cb3c4de245",
	{"gzip", 7}: "90881bb24dd4b02d",
	{"gzip", 8}: "5252287d27f9581f",
	{"gzip", 9}: "73329774b7d683a1",
}

func TestGoldenBytes(t *testing.T) {
	for _, s := range allSpecs() {
		if s.Name == "zstd" {
			continue
		}
		h := sha256.New()
		for i, blockSize := range []int{MinBlockSize, DefaultBlockSize, MaxBlockSize} {
			e, _ := newCodec(t, s, blockSize)
			out, _, err := EncodeBlock(e, nil, sample(uint64(10+i), blockSize))
			if err != nil {
				t.Fatal(err)
			}
			h.Write(out)
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != goldenSums[s] {
			t.Errorf("{%q, %d}: %q, want %q", s.Name, s.Level, got, goldenSums[s])
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range allSpecs() {
		e, _ := newCodec(f, s, MinBlockSize)
		out, err := e.Encode(nil, sample(5, 600))
		if err != nil && s.Name != "none" {
			f.Fatal(err)
		}
		f.Add(s.ID(), out, uint16(600))
		f.Add(s.ID(), out[:len(out)/2], uint16(600))
	}
	f.Fuzz(func(t *testing.T, id uint16, src []byte, max uint16) {
		d, err := NewDecoder(id)
		if err != nil {
			return
		}
		var out []byte
		fuzztest.Limit(t, 64<<20, func() { out, err = d.Decode([]byte("x"), src, int(max)) })
		if len(out) == 0 || out[0] != 'x' || len(out)-1 > int(max) || err != nil && len(out) != 1 {
			t.Errorf("%d bytes, error %v", len(out), err)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	for _, src := range inputs(MinBlockSize) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) == 0 || len(src) > MinBlockSize {
			return
		}
		for _, s := range []Spec{{"zstd", 3}, {"zstd", 15}, {"gzip", 9}, {"xz", 0}, {"lz4", 0}} {
			e, d := newCodec(t, s, MinBlockSize)
			if err := roundTrip(e, d, s, MinBlockSize, src); err != nil {
				t.Errorf("%v: %v", s, err)
			}
		}
	})
}
