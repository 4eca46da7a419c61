package erofs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/packfile"
)

// Of package erofspack, in bytes.
const headSize, recordSize, extentSize = 32, 80, 8

// sections are where the parts of a pack's index begin.
type sections struct{ entries, contents, extents, head int }

func sectionsOf(pack []byte) (s sections, ok bool) {
	s.head = len(pack) - packfile.MagicSize - sha256.Size - headSize
	if s.head < packfile.MagicSize {
		return s, false
	}
	head := pack[s.head:]
	s.entries = int(le.Uint64(head[4:]))
	s.contents = s.entries + int(le.Uint64(head[12:]))
	s.extents = s.contents + int(le.Uint32(head[24:]))*recordSize
	return s, s.entries >= 0 && s.entries <= s.head
}

// seal gives a pack whose index was changed the hash that fits.
func seal(pack []byte) []byte {
	if s, ok := sectionsOf(pack); ok {
		sum := sha256.Sum256(pack[s.entries : s.head+headSize])
		copy(pack[s.head+headSize:], sum[:])
	}
	return pack
}

var errLarge = errors.New("more than is wanted")

// linkHostile links a pack that may be anything, and tells the error. What is linked must have the size that Stats tells.
func linkHostile(t testing.TB, pack []byte) error {
	t.Helper()
	name := filepath.Join(t.TempDir(), "layer.pack")
	if err := os.WriteFile(name, pack, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := erofspack.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	m := fstree.NewMerger()
	if err := m.AddLayer("0", r.Entries()); err != nil {
		return err
	}
	tree, err := m.Tree()
	if err != nil {
		return err
	}
	const limit = 64 << 20
	w := &limitedWriter{limit, errLarge}
	stats, err := Link(context.Background(), w, tree, []*erofspack.Reader{r}, Options{r.Codec()})
	if err == nil && uint64(limit-w.left) != stats.Size {
		t.Errorf("%d bytes were written, Stats tells %d", limit-w.left, stats.Size)
	}
	return err
}

// fuzzedPack is a small pack of files of all types and layouts.
func fuzzedPack(t testing.TB) []byte {
	t.Helper()
	pack := build(t, "lz4", func(b *erofspack.Builder) {
		for i, content := range []string{
			"", "small", imagetest.Text(1, 30_000), imagetest.Noise(2, 9000), imagetest.Text(4, 100_000) + imagetest.Noise(3, 9001),
			imagetest.Noise(7, 5000) + strings.Repeat("\x00", 50_000) + "end", strings.Repeat("\x00", 8192),
		} {
			e := file("d/" + string(rune('a'+i)))
			e.Xattrs = []fstree.Xattr{{Name: "trusted.long", Value: []byte(strings.Repeat("v", 50*(i%2)))}, {Name: "user.a"}}
			add(t, b, e, content)
		}
		add(t, b, fstree.Entry{Path: "l", Type: fstree.HardLink, Link: "d/a", Content: fstree.NoContent}, "")
		link := special("s", fstree.Symlink)
		link.Link = strings.Repeat("t", 4000)
		add(t, b, link, "")
	})
	data, err := os.ReadFile(pack.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every byte of what the index tells of the data is changed: what is linked all the same has the size that it should
// have, and nothing crashes.
func TestHostilePack(t *testing.T) {
	good := fuzzedPack(t)
	s, _ := sectionsOf(good)
	linked := 0
	for at := s.contents; at < s.head+headSize; at++ {
		for _, change := range []byte{0x01, 0xff} {
			data := slices.Clone(good)
			data[at] ^= change
			if linkHostile(t, seal(data)) == nil {
				linked++
			}
		}
	}
	if linked == 0 {
		t.Error("seal does not work: nothing is linked")
	}
}

// FuzzLink changes bytes of the index: each three of its input are a place and what to change there.
func FuzzLink(f *testing.F) {
	good := fuzzedPack(f)
	s, _ := sectionsOf(good)
	f.Add([]byte{0, 0, 1})
	f.Fuzz(func(t *testing.T, changes []byte) {
		data := slices.Clone(good)
		for change := range slices.Chunk(changes, 3) {
			if len(change) == 3 {
				data[s.entries+int(le.Uint16(change))%(s.head+headSize-s.entries)] ^= change[2]
			}
		}
		linkHostile(t, seal(data))
	})
}

// record is where the index tells of a content: its offsets are of package erofspack.
type record []byte

func (r record) setSize(n uint64)     { le.PutUint64(r[32:], n) }
func (r record) blocks() uint32       { return le.Uint32(r[48:]) }
func (r record) extents() (at, n int) { return int(le.Uint32(r[52:])), int(le.Uint32(r[56:])) }
func (r record) setTail(n uint16)     { le.PutUint16(r[76:], n) }

// setHole makes the content one of size zeros, which the first extent of the pack stands for.
func (r record) setHole(size uint64) {
	r.setSize(size)
	clear(r[40:76])
	le.PutUint32(r[56:], 1) // extents
	r.setTail(0)
	r[78] = byte(erofspack.Chunked)
}

// Extents that begin in the same 4 KiB of a file, for which the index has one entry, are refused, not written over what
// follows the index.
func TestHostileExtents(t *testing.T) {
	pack := build(t, "lz4", func(b *erofspack.Builder) {
		var data strings.Builder
		for i := range 6 {
			data.WriteString(imagetest.Text(i, 200_000) + imagetest.Noise(i, 50_000))
		}
		add(t, b, file("f"), data.String())
	})
	good, err := os.ReadFile(pack.Name())
	if err != nil {
		t.Fatal(err)
	}
	s, _ := sectionsOf(good)
	at, n := record(good[s.contents:]).extents()
	if n < 5 {
		t.Fatalf("%d extents", n)
	}
	for name, change := range map[string]func(r record, list []byte){
		"short": func(r record, list []byte) {
			left, size := r.blocks(), uint32(0)
			for i := range n {
				length, blocks := uint32(100), uint32(1)
				if i == n-1 {
					length, blocks = left*blockSize, left
				}
				putExtent(list[i*extentSize:], length, uint16(blocks), erofspack.Plain)
				left, size = left-blocks, size+length
			}
			r.setSize(uint64(size))
			r.setTail(0)
		},
		"bomb": func(r record, list []byte) {
			size := uint64(0)
			for i := range n {
				if list[i*extentSize+6] == byte(erofspack.Compressed) {
					le.PutUint32(list[i*extentSize:], 1<<32-1)
				}
				size += uint64(le.Uint32(list[i*extentSize:]))
			}
			r.setSize(size)
		},
	} {
		data := slices.Clone(good)
		change(record(data[s.contents:]), data[s.extents+at*extentSize:])
		err := linkHostile(t, seal(data))
		if !errors.Is(err, packfile.ErrDamaged) || !strings.Contains(err.Error(), "is not possible") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func putExtent(b []byte, length uint32, blocks uint16, kind erofspack.ExtentKind) {
	le.PutUint32(b, length)
	le.PutUint16(b[4:], blocks)
	b[6] = byte(kind)
}

// Inodes and indexes of more than 128 GiB, which have no numbers of 32 bits, are an error before anything is written.
func TestTooManySlots(t *testing.T) {
	const files, size = 33_000, 1 << 42
	pack := build(t, "none", func(b *erofspack.Builder) {
		add(t, b, file("sparse"), strings.Repeat("\x00", 8192))
		for i := range files {
			add(t, b, file(fmt.Sprint(i)), fmt.Sprint(i))
		}
	})
	data, err := os.ReadFile(pack.Name())
	if err != nil {
		t.Fatal(err)
	}
	s, _ := sectionsOf(data)
	le.PutUint32(data[s.extents:], 1<<20) // chunks of a hole that all have
	for i := range files + 1 {
		record(data[s.contents+i*recordSize:]).setHole(size)
	}
	err = linkHostile(t, seal(data))
	if err == nil || !strings.Contains(err.Error(), "bytes of inodes, which is all that erofs can hold") {
		t.Errorf("error %v", err)
	}
}
