package layerpack

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
)

func TestContents(t *testing.T) {
	const bs = codec.MinBlockSize
	hole := slices.Concat(noise(1, bs), make([]byte, 2*bs), text(2, bs+5))
	files := [][]byte{
		{}, {'x'}, text(3, bs-1), text(3, bs), text(3, bs+1), noise(4, 3*bs), hole,
		make([]byte, 10), make([]byte, bs), make([]byte, 5*bs+100), text(5, 100*bs+17),
	}
	for _, name := range []string{"zstd", "gzip", "xz", "lz4", "none"} {
		t.Run(name, func(t *testing.T) {
			o := options(t, name)
			r, stats := build(t, o, func(b *Builder) error {
				for i, data := range files {
					if err := addFile(b, string(rune('a'+i)), data); err != nil {
						return err
					}
				}
				return nil
			})
			if r.Codec() != o.Codec || r.BlockSize() != o.BlockSize {
				t.Errorf("%v, %d", r.Codec(), r.BlockSize())
			}
			checkPack(t, r, stats)
			for i, want := range files {
				if got := content(t, r, uint32(i)); !bytes.Equal(got, want) {
					t.Errorf("file %d differs", i)
				}
			}
			checkShape(t, r, files)
		})
	}
}

// checkShape checks where the data lies: small files whole in fragment blocks, large ones in blocks, zeros nowhere.
func checkShape(t *testing.T, r *Reader, files [][]byte) {
	t.Helper()
	for i, data := range files {
		c, err := r.Content(uint32(i))
		if err != nil {
			t.Fatal(err)
		}
		blocks := 0
		if len(data) >= r.BlockSize() {
			blocks = (len(data)-1)/r.BlockSize() + 1
		}
		inFragment := len(data) > 0 && blocks == 0
		if len(c.Blocks) != blocks || (c.Fragment != NoFragment) != inFragment {
			t.Errorf("file %d of %d bytes: %d blocks, fragment %d", i, len(data), len(c.Blocks), c.Fragment)
		}
		for j, size := range c.Blocks {
			block := data[j*r.BlockSize():]
			block = block[:min(len(block), r.BlockSize())]
			if zero := bytes.Count(block, []byte{0}) == len(block); zero != (size == 0) {
				t.Errorf("file %d, block %d: size %#x, zeros %v", i, j, size, zero)
			}
		}
	}
}

func TestDuplicates(t *testing.T) {
	const bs = codec.MinBlockSize
	o := options(t, "zstd")
	small, large := text(1, 300), slices.Concat(text(2, 7*bs+9), make([]byte, bs))
	size := func(names string) (int64, Stats) {
		r, stats := build(t, o, func(b *Builder) error {
			for i, kind := range names {
				data := map[rune][]byte{'s': small, 'l': large, 'e': {}, 'o': text(3, 3*bs)}[kind]
				if err := addFile(b, string(rune('a'+i)), data); err != nil {
					return err
				}
			}
			return nil
		})
		checkPack(t, r, stats)
		return stats.Data, stats
	}
	once, _ := size("slo")
	many, stats := size("slsllloeeesl")
	if once != many {
		t.Errorf("%d bytes of data, with duplicates %d", once, many)
	}
	want := Stats{Entries: 12, Files: 12, Contents: 4, Data: once, Size: stats.Size,
		Unpacked: int64(3*len(small) + 5*len(large) + 3*bs), Duplicates: int64(2*len(small) + 4*len(large))}
	if diff := cmp.Diff(want, stats); diff != "" {
		t.Error(diff)
	}
	// A duplicate at the end leaves nothing behind the index.
	if _, again := size("ll"); again.Contents != 1 {
		t.Errorf("%+v", again)
	}
}

func TestJobsDoNotMatter(t *testing.T) {
	o := options(t, "zstd")
	var first []byte
	for _, jobs := range []int{1, 2, 7, 0} {
		o.Jobs = jobs
		r, _ := build(t, o, func(b *Builder) error {
			for i := range 60 {
				if err := addFile(b, string(rune('A'+i)), text(i%40, i*1500)); err != nil {
					return err
				}
			}
			return nil
		})
		got, err := os.ReadFile(r.File().Name())
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(first, got) {
			t.Errorf("%d jobs give another pack", jobs)
		}
	}
}

func TestEntries(t *testing.T) {
	want := []fstree.Entry{
		{Path: ".", Type: fstree.Directory, Mode: 0o755, ModTime: -1},
		{Path: "dir", Type: fstree.Directory, Mode: 0o1777, UID: 1<<32 - 1, GID: 70000, ModTime: 1 << 40},
		{Path: "dir/file", Type: fstree.Regular, Mode: 0o4711, Xattrs: []fstree.Xattr{
			{Name: "security.capability", Value: []byte{1, 0, 0, 2}}, {Name: "user.empty", Value: []byte{}}}},
		{Path: "dir/hard", Type: fstree.HardLink, Link: "dir/file"},
		{Path: "dir/\xff\xfe", Type: fstree.Symlink, Mode: 0o777, Link: "../../\xff/target"},
		{Path: "dir/" + strings.Repeat("n", 255), Type: fstree.FIFO},
		{Path: "dev/tty", Type: fstree.CharDevice, Major: 5, Minor: 1 << 19},
		{Path: "dev/sda", Type: fstree.BlockDevice, Major: 8},
		{Path: "run/socket", Type: fstree.Socket, Mode: 0},
		{Path: "dir/.wh.gone", Type: fstree.Regular},
		{Path: "dir/.wh." + strings.Repeat("g", 255), Type: fstree.Regular},
		{Path: "dir/.wh..wh..opq", Type: fstree.Regular},
	}
	r, stats := build(t, options(t, "none"), func(b *Builder) error {
		for i, e := range want {
			if e.Type != fstree.Regular {
				want[i].Content = fstree.NoContent
			}
			if err := b.Add(e, strings.NewReader(""), 0); err != nil {
				return err
			}
		}
		return nil
	})
	checkPack(t, r, stats)
	var got []fstree.Entry
	for e, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for range r.Entries() { // may be left early
		break
	}
}

func TestAddRejects(t *testing.T) {
	xattrs := func(list ...fstree.Xattr) fstree.Entry {
		return fstree.Entry{Path: "x", Type: fstree.FIFO, Xattrs: list}
	}
	for _, c := range []struct {
		e    fstree.Entry
		size int64
		want string
	}{
		{file("/abs"), 0, "not clean"},
		{file("a/../b"), 0, "not clean"},
		{file(""), 0, "not clean"},
		{file("a\x00b"), 0, "has a NUL"},
		{file("d/" + strings.Repeat("n", 256)), 0, "256 bytes; Linux allows 255"},
		{file(strings.Repeat("n/", 64<<10)), 0, "at most 65536"},
		{file("."), 0, "the root is not a directory"},
		{file("short"), 1, "unexpected EOF"},
		{file("short"), codec.MinBlockSize * 3, "unexpected EOF"},
		{file("large"), maxBlocks*codec.MinBlockSize + 1, "use a larger block size"},
		{file("negative"), -1, "-1 bytes"},
		{fstree.Entry{Path: "x"}, 0, "unknown type 0"},
		{fstree.Entry{Path: "x", Type: fstree.Symlink}, 0, "target is empty"},
		{fstree.Entry{Path: "x", Type: fstree.Symlink, Link: strings.Repeat("x", 4096)}, 0, "longer than 4095"},
		{fstree.Entry{Path: "x", Type: fstree.HardLink, Link: "../y"}, 0, "hard link target"},
		{xattrs(fstree.Xattr{Name: ""}), 0, "xattr name"},
		{xattrs(fstree.Xattr{Name: "user.b"}, fstree.Xattr{Name: "user.a"}), 0, "out of order"},
		{xattrs(fstree.Xattr{Name: "user.a", Value: noise(1, 64<<10+1)}), 0, "Linux allows"},
		{xattrs(make([]fstree.Xattr, 4<<10+1)...), 0, "at most 4096"},
	} {
		b, err := NewBuilder(create(t), options(t, "zstd"))
		if err != nil {
			t.Fatal(err)
		}
		err = b.Add(c.e, strings.NewReader(""), c.size)
		wantError(t, err, c.want)
		if again := b.Add(file("fine"), strings.NewReader(""), 0); again == nil || !errors.Is(again, err) {
			t.Errorf("%q: the error does not stick: %v", c.want, again)
		}
		if _, closed := b.Close(); !errors.Is(closed, err) {
			t.Errorf("%q: Close returns %v", c.want, closed)
		}
	}
}

func TestWriteFails(t *testing.T) {
	f := create(t)
	b, err := NewBuilder(f, options(t, "none"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for i := 0; i < 1000 && err == nil; i++ {
		err = addFile(b, "x", noise(i, 10*codec.MinBlockSize))
	}
	if _, closed := b.Close(); !errors.Is(err, os.ErrClosed) || !errors.Is(closed, os.ErrClosed) {
		t.Errorf("Add %v, Close %v", err, closed)
	}
	if _, err := NewBuilder(f, options(t, "none")); err == nil {
		t.Error("a builder on a closed file")
	}
}

// TestMemory packs a file that is far larger than what may be allocated for it.
func TestMemory(t *testing.T) {
	const size = 96 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o := options(t, "zstd")
	o.BlockSize = codec.DefaultBlockSize
	build(t, o, func(b *Builder) error {
		return b.Add(file("large"), io.LimitReader(&repeat{text(1, 100003), 0}, size), size)
	})
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 24<<20 {
		t.Errorf("packing %d MiB allocates %d MiB", size>>20, n>>20)
	}
}

// repeat is a reader of the same bytes over and over.
type repeat struct {
	b  []byte
	at int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

// TestGolden holds the format fast: a change of these bytes needs a new version in the magic.
func TestGolden(t *testing.T) {
	r, _ := build(t, options(t, "none"), func(b *Builder) error {
		return errors.Join(
			b.Add(fstree.Entry{Path: "d", Type: fstree.Directory, Mode: 0o755, UID: 1000, GID: 4, ModTime: -2}, nil, 0),
			addFile(b, "d/a", []byte("alpha")),
			addFile(b, "d/b", slices.Concat([]byte("Z"), make([]byte, 2*codec.MinBlockSize-1))),
			b.Add(fstree.Entry{Path: "d/n", Type: fstree.CharDevice, Major: 1, Minor: 300,
				Xattrs: []fstree.Xattr{{Name: "user.x", Value: []byte("y")}}}, nil, 0),
			addFile(b, "d/c", []byte("alpha")),
		)
	})
	got, err := os.ReadFile(r.File().Name())
	if err != nil {
		t.Fatal(err)
	}
	block := slices.Concat([]byte("Z"), make([]byte, codec.MinBlockSize-1))
	want := slices.Concat([]byte("FLGPACK\x02"), block, []byte("alpha"), unhex(t, goldenIndex))
	if !bytes.Equal(got, want) {
		t.Errorf("pack differs; index %x", got[8+len(block)+5:])
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The index of TestGolden's pack: five entries, two contents, two block sizes, one fragment block, one check, and the
// footer.
const goldenIndex = `
	02 00 01 64 ed03 e807 04 03 00
	01 01 02 2f61 a403 00 00 00 00 00
	01 02 01 62 a403 00 00 00 01 00
	05 02 01 6e 00 00 00 00 01 ac02 01 06 757365722e78 01 79
	01 02 01 63 a403 00 00 00 00 00
	8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8 0500000000000000 0000000000000000 0000000000000000
	645f6e2898eba86b82d52399ccb443b7089a1b869b034589cbe1cec8b53cd35e 0020000000000000 0800000000000000 0000000000000000
	00100001 00000000
	0810000000000000 05000001 05000000
	e97e0ef5
	00 00 0000 00100000 0d10000000000000 4200000000000000 05000000 02000000 01000000 02000000
	1746c03daa9d7da03e5cb004ce34434e59e3dd9a40c25881f241094e20568157 464c475041434b02`
