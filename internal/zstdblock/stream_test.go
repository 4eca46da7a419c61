package zstdblock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// longInput is n bytes of all kinds, many of them again after a while.
func longInput(n int) []byte {
	in := inputs(1 << 18)
	var list []byte
	for i := 0; len(list) < n; i++ {
		for _, name := range []string{"mixed", "noise", "text", "zero", "table", "skewed", "period", "mixed", "bits"} {
			src := in[name]
			at := (i * 50021) % (len(src) / 2)
			list = append(list, src[at:at+len(src)/4]...)
		}
	}
	return list[:n]
}

func stream(t testing.TB, z *Writer, src io.Reader) []byte {
	t.Helper()
	var out bytes.Buffer
	z.Reset(&out)
	if _, err := io.Copy(struct{ io.Writer }{z}, struct{ io.Reader }{src}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func newWriter(t testing.TB, level, windowLog, threads int) *Writer {
	t.Helper()
	z, err := NewWriter(level, windowLog, threads)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// checkStream unpacks frame with a decoder that accepts no larger window.
func checkStream(t testing.TB, windowLog int, frame, want []byte) {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(frame), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(1<<windowLog))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got, err := io.ReadAll(d)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes: %v, the same bytes: %v", len(want), err, bytes.Equal(got, want))
	}
}

// TestStream checks lengths around all limits, for windows that slide many times.
func TestStream(t *testing.T) {
	src := longInput(3 << 20)
	for level := MinStreamLevel; level <= MaxLevel; level++ {
		for _, windowLog := range []int{MinWindowLog, 18, 20} {
			if level > MinStreamLevel && windowLog != 17+level%2 {
				continue
			}
			z := newWriter(t, level, windowLog, 1+level%3)
			var lengths []int
			for _, n := range []int{0, z.zblock, 2 * z.zblock, z.window, z.window * 5 / 4, z.window + z.zblock, 4 * z.window} {
				lengths = append(lengths, n, n+1, n+padding-1, n+padding, n+padding+1, max(n-1, 0))
			}
			if level != 10 && level != 15 {
				lengths = []int{1000, 2*z.window + 17}
			}
			for _, n := range append(lengths, 2<<20) {
				n = min(n, len(src))
				checkStream(t, windowLog, stream(t, z, bytes.NewReader(src[:n])), src[:n])
			}
		}
	}
}

// TestStreamPieces checks that the bytes depend on neither the pieces, nor the threads, nor what was written before.
func TestStreamPieces(t *testing.T) {
	src := longInput(2 << 20)
	want := stream(t, newWriter(t, 15, 18, 1), bytes.NewReader(src))
	checkStream(t, 18, want, src)
	z := newWriter(t, 15, 18, 3)
	for i := range 10 { // posMask is passed
		var r io.Reader = bytes.NewReader(src)
		switch i {
		case 1:
			r = iotest.HalfReader(r)
		case 2:
			r = iotest.OneByteReader(r)
		}
		if got := stream(t, z, r); !bytes.Equal(got, want) {
			t.Fatalf("round %d: other bytes", i)
		}
	}
}

// TestStreamRebase streams more than the positions of the finder count.
func TestStreamRebase(t *testing.T) {
	piece := longInput(1<<20 + 12345)
	src := bytes.Repeat(piece, 36)
	z := newWriter(t, 10, MaxWindowLog, 2)
	frame := stream(t, z, bytes.NewReader(src))
	checkStream(t, MaxWindowLog, frame, src)
	if one := stream(t, z, bytes.NewReader(piece)); len(frame) > len(one)*11/10 {
		t.Errorf("36 times the same take %d bytes, once %d: the past is forgotten", len(frame), len(one))
	}
}

// TestStreamReference decodes with libzstd.
func TestStreamReference(t *testing.T) {
	tool, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("no zstd command")
	}
	src := longInput(3 << 20)
	var frames, want []byte
	for _, level := range []int{10, 13, 15, 18, 19, 22} {
		for _, windowLog := range []int{18, 23} {
			for _, n := range []int{0, 1, 100, 1<<17 + 1, len(src)} {
				if n == len(src) && level > 15 {
					continue
				}
				frames = append(frames, stream(t, newWriter(t, level, windowLog, 2), bytes.NewReader(src[:n]))...)
				want = append(want, src[:n]...)
			}
		}
	}
	for _, args := range [][]string{{"-dc"}, {"-dc", "--memory=8MB"}} {
		cmd := exec.Command(tool, args...)
		cmd.Stdin = bytes.NewReader(frames)
		got, err := cmd.Output()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("zstd %s: %v, the same bytes: %v", args, err, bytes.Equal(got, want))
		}
	}
}

// TestStreamMemory checks that memory does not grow with the stream.
func TestStreamMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	z := newWriter(t, 15, MaxWindowLog, 2)
	z.Reset(io.Discard)
	piece := longInput(1 << 20)
	for range 40 {
		if _, err := z.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if all := (after.TotalAlloc - before.TotalAlloc) >> 20; all > 80 {
		t.Errorf("%d MiB were allocated", all)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

type failing struct{ left int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestStreamErrors(t *testing.T) {
	for _, c := range [][2]int{{9, 20}, {23, 20}, {15, 16}, {15, 24}, {0, 0}} {
		if _, err := NewWriter(c[0], c[1], 1); err == nil {
			t.Errorf("NewWriter(%d, %d): no error", c[0], c[1])
		}
	}
	z := newWriter(t, 10, 17, 1)
	if _, err := z.Write([]byte("x")); err == nil {
		t.Error("Write before Reset: no error")
	}
	z.Reset(&failing{left: 50_000})
	if _, err := z.Write(longInput(1 << 20)); !errors.Is(err, errFull) {
		t.Errorf("Write to a full disk: %v", err)
	}
	if err := z.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close then: %v", err)
	}
	if frame := stream(t, z, bytes.NewReader(nil)); hex.EncodeToString(frame) != "28b52ffd0038010000" {
		t.Errorf("the empty frame is %x", frame)
	}
	if err := z.Close(); err == nil {
		t.Error("Close after Close: no error")
	}
}

// TestStreamGolden notices any change of the bytes: layers packed by an earlier version would no longer be found in caches.
func TestStreamGolden(t *testing.T) {
	src := longInput(1 << 20)
	for _, g := range streamGolden {
		sum := sha256.Sum256(stream(t, newWriter(t, g.level, 18, 2), bytes.NewReader(src)))
		if got := hex.EncodeToString(sum[:8]); got != g.sum {
			t.Errorf("level %d: %s, want %s", g.level, got, g.sum)
		}
	}
}

var streamGolden = []struct {
	level int
	sum   string
}{
	{10, "3956758b598558d5"}, {15, "64f2befd98387cf1"}, {19, "b3daefdcf1d43fcc"}, {22, "6b9d45c17ab67f10"},
}

func FuzzStream(f *testing.F) {
	for _, src := range inputs(3000) {
		f.Add(uint8(15), src, uint8(0), uint16(0))
		f.Add(uint8(10), src, uint8(200), uint16(777))
	}
	writers := map[int]*Writer{}
	f.Fuzz(func(t *testing.T, level uint8, src []byte, repeat uint8, cut uint16) {
		l := MinStreamLevel + int(level)%(MaxLevel-MinStreamLevel+1)
		if writers[l] == nil {
			writers[l] = newWriter(t, l, MinWindowLog, 2)
		}
		src = bytes.Repeat(src, 1+int(repeat))
		src = src[:min(len(src), 1<<19)]
		var out bytes.Buffer
		z := writers[l]
		z.Reset(&out)
		for rest := src; len(rest) > 0; {
			n := min(int(cut)+1, len(rest))
			if _, err := z.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		checkStream(t, MinWindowLog, out.Bytes(), src)
	})
}
