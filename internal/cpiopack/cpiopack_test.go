package cpiopack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	reader "github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/packfile"
)

// spec reads a compressor and its level, if any.
func spec(t testing.TB, setting string) codec.Spec {
	t.Helper()
	name, number, _ := strings.Cut(setting, " ")
	level, _ := strconv.Atoi(number)
	s, err := codec.ParseSpec(name, level)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var codecs = []string{"gzip", "zstd 3", "zstd 15", "xz", "lz4", "none"} // zstd has two encoders

// item is an entry and its data.
type item struct {
	fstree.Entry
	data string
}

func regular(path, data string) item {
	return item{fstree.Entry{Path: path, Type: fstree.Regular, Mode: 0o644, ModTime: 7, UID: 1, GID: 2}, data}
}

func link(path, target string) item {
	return item{Entry: fstree.Entry{Path: path, Type: fstree.HardLink, Link: target, Content: fstree.NoContent}}
}

func build(t testing.TB, o Options, items ...item) (string, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x.pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := NewBuilder(f, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		b.Add(i.Entry, strings.NewReader(i.data), int64(len(i.data))) // the error sticks
	}
	return f.Name(), b.Close()
}

func mustBuild(t testing.TB, o Options, items ...item) *Reader {
	t.Helper()
	path, err := build(t, o, items...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// listing is what a segment holds, a line for each record.
func listing(t testing.TB, r *Reader, i uint32) []string {
	t.Helper()
	var packed bytes.Buffer
	if err := r.Copy(&packed, i); err != nil {
		t.Fatal(err)
	}
	z, err := decompress(r.Codec(), &packed)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var list []string
	unpacked := &counter{}
	for in := reader.NewReader(io.TeeReader(z, unpacked)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%d %s %o %d:%d %d %.9s %d",
			h.Links, h.Name, h.Mode, h.Uid, h.Guid, h.ModTime.Unix(), data, len(data)))
	}
	if rest, err := io.Copy(unpacked, z); err != nil || rest > 3 {
		t.Errorf("%d bytes behind the trailer, %v", rest, err)
	}
	return list
}

func TestSegments(t *testing.T) {
	for _, name := range codecs {
		t.Run(name, func(t *testing.T) {
			o := Options{Codec: spec(t, name)}
			size := segmentSize(o.Codec)
			half := strings.Repeat("0123456789abcdef", size/32) // with another of its size it does not fit
			items := []item{
				{Entry: fstree.Entry{Path: "dir", Type: fstree.Directory, Mode: 0o755, Content: fstree.NoContent}},
				regular("a", "alpha"), regular("empty", ""), link("a-too", "a"), regular("half", half),
				regular("half2", half), link("a-late", "a-too"), regular("large", "L"+half+half+half), regular("z", "omega"),
				link("large-late", "large"), link("dangling", "below"),
			}
			r := mustBuild(t, o, items...)
			want := [][]string{
				{
					"3 a 100644 1:2 7 alpha 5", "3 a-late 100644 1:2 7  0", "3 a-too 100644 1:2 7  0",
					fmt.Sprintf("1 half 100644 1:2 7 012345678 %d", len(half)),
				},
				{fmt.Sprintf("1 half2 100644 1:2 7 012345678 %d", len(half))},
				{fmt.Sprintf("2 large 100644 1:2 7 L01234567 %d", 3*len(half)+1), "2 large-late 100644 1:2 7  0"},
				{"1 z 100644 1:2 7 omega 5"},
			}
			for i := range r.Segments() {
				if diff := cmp.Diff(want[i], listing(t, r, uint32(i))); diff != "" {
					t.Errorf("segment %d (-want +got):\n%s", i, diff)
				}
			}
			if len(r.Segments()) != len(want) {
				t.Errorf("%d segments, want %d", len(r.Segments()), len(want))
			}
			var entries []item
			for e, err := range r.Entries() {
				if err != nil {
					t.Fatal(err)
				}
				entries = append(entries, item{Entry: e})
			}
			if len(entries) != len(items) || entries[1].Content != 0 || entries[2].Content != 1 {
				t.Errorf("entries %+v", entries)
			}
			if c := r.Contents()[1]; c.Segment != NoSegment || c.Size != 0 {
				t.Errorf("the empty file is %+v", c)
			}
			checkSame(t, o, items, r.Name())
		})
	}
}

// checkSame builds the pack again with other numbers of jobs.
func checkSame(t *testing.T, o Options, items []item, path string) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, jobs := range []int{1, 3} {
		o.Jobs = jobs
		again, err := build(t, o, items...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(again); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d jobs give another pack (%v)", jobs, err)
		}
	}
}

func TestRename(t *testing.T) {
	for _, name := range codecs {
		r := mustBuild(t, Options{Codec: spec(t, name)}, regular("a", "alpha"), regular("b", "beta"), regular("c", "gamma"))
		var out bytes.Buffer
		if err := r.Rename(&out, 0, map[uint32][]string{0: {"x", "y"}, 2: {"c"}}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for in := reader.NewReader(&out); ; {
			h, err := in.Next()
			if err != nil {
				break
			}
			data, _ := io.ReadAll(in)
			got = append(got, fmt.Sprintf("%d %s %s", h.Links, h.Name, data))
		}
		if want := []string{"2 x alpha", "2 y ", "1 c gamma"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// endless is a file of any size.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBuilderErrors(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		e    fstree.Entry
		size int64
		data io.Reader
		want string
	}{
		{regular("big", "").Entry, 1 << 32, endless{}, "4 GiB - 1"},
		{regular("../x", "").Entry, 0, endless{}, "not clean"},
		{regular("short", "").Entry, 10, strings.NewReader("123"), "unexpected EOF"},
		{regular("short", "").Entry, 9 << 20, strings.NewReader("123"), "unexpected EOF"},
	} {
		b, err := NewBuilder(f, Options{Codec: spec(t, "none")})
		if err != nil {
			t.Fatal(err)
		}
		err = b.Add(c.e, c.data, c.size)
		closed := b.Close()
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(closed, err) {
			t.Errorf("%s: %v, then %v; want %q", c.e.Path, err, closed, c.want)
		}
	}
}

// TestPlan checks how jobs are divided: our own zstd encoder works on several cores by itself.
func TestPlan(t *testing.T) {
	for _, c := range []struct {
		setting                 string
		jobs, encoders, threads int
	}{
		{"gzip", 1, 1, 1}, {"gzip", 4, 4, 1}, {"zstd 9", 2, 2, 1},
		{"zstd 10", 1, 1, 1}, {"zstd 10", 2, 1, 2}, {"zstd 15", 3, 1, 3}, {"zstd 15", 4, 2, 2}, {"zstd 22", 9, 2, 5},
	} {
		if encoders, threads := plan(spec(t, c.setting), c.jobs); encoders != c.encoders || threads != c.threads {
			t.Errorf("%s, %d jobs: %d encoders of %d threads, want %d of %d",
				c.setting, c.jobs, encoders, threads, c.encoders, c.threads)
		}
	}
}

// TestMemory checks that what is allocated in all, garbage included, grows with neither the files nor their number.
func TestMemory(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := NewBuilder(f, Options{Codec: spec(t, "zstd 15"), Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if err := b.Add(regular(fmt.Sprint(i), "").Entry, endless{}, 5<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add(regular("large", "").Entry, endless{}, 40<<20); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if all := (after.TotalAlloc - before.TotalAlloc) >> 20; all > 100 {
		t.Errorf("%d MiB were allocated", all)
	}
}

// TestDamage flips every byte of a pack: opening or copying it must say so.
func TestDamage(t *testing.T) {
	path, err := build(t, Options{Codec: spec(t, "gzip")}, regular("a", "alpha"), regular("b", strings.Repeat("beta", 50)))
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if err := readAll(t, bad); err == nil {
			t.Fatalf("byte %d is flipped and nothing noticed", i)
		}
		if err := readAll(t, good[:i]); err == nil {
			t.Fatalf("cut off at %d and nothing noticed", i)
		}
	}
}

// readAll reads everything in a pack.
func readAll(t testing.TB, pack []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pack")
	if err := os.WriteFile(path, pack, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, err := range r.Entries() {
		if err != nil {
			return err
		}
	}
	for i := range r.Contents() {
		if _, _, err := r.Program(uint32(i)); err != nil {
			return err
		}
	}
	for i := range r.Segments() {
		if err := r.Copy(io.Discard, uint32(i)); err != nil {
			return err
		}
		if err := r.Rename(io.Discard, uint32(i), nil); err != nil {
			return err
		}
	}
	return nil
}

func FuzzReader(f *testing.F) {
	for _, name := range codecs {
		path, err := build(f, Options{Codec: spec(f, name)}, regular("a", "alpha"), link("b", "a"), regular("c", "\x7fELF"))
		if err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Limit(t, 256<<20+1000*len(b), func() { readAll(t, seal(b)) }) // each segment has a decoder
	})
}

// seal corrects the hash of an index that was changed on purpose.
func seal(pack []byte) []byte {
	n, footer := len(pack), int(kind.FooterSize())
	if n < packfile.MagicSize+footer {
		return pack
	}
	foot, err := decodeFooter(pack[n-footer:], int64(n))
	if err != nil {
		return pack
	}
	sum := sha256.Sum256(pack[foot.dataEnd : n-footer+kind.HeadSize])
	copy(pack[n-footer+kind.HeadSize:], sum[:])
	return pack
}
