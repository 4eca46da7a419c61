package erofs

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// The superblock by the offsets of erofs_fs.h, written down by hand.
func TestSuperblock(t *testing.T) {
	s := &superblock{
		rootSlot: 0x1234, inodes: 0x0102030405060708, time: 0x1112131415161718, blocks: 0x21222324, inodesAt: 0x31323334,
		xattrAt: 0x41424344, uuid: [16]byte([]byte("0123456789abcdef")),
		incompat: incompatZeroPadding | incompatComprConfigs | incompatTailPacking | incompatChunked, compressed: true,
	}
	b := s.encode()
	if len(b) != 4096 || !bytes.Equal(b[:1024], make([]byte, 1024)) {
		t.Errorf("%d bytes, or something before the superblock", len(b))
	}
	want := "e2e1f5e0" + "????????" + "03000000" + "0c" + "00" + "3412" + "0807060504030201" + // magic … inos
		"1817161514131211" + "00000000" + "24232221" + "34333231" + "44434241" + // build_time … xattr_blkaddr
		hex.EncodeToString([]byte("0123456789abcdef")) + strings.Repeat("00", 16) + // uuid, volume_name
		"17000000" + "0100" + strings.Repeat("00", 42) + // feature_incompat, available_compr_algs, …
		"0e00" + "ffff" + "1000" + strings.Repeat("00", 10) // z_erofs_lz4_cfgs behind its size
	sum := le.Uint32(b[1028:])
	got := hex.EncodeToString(b[1024 : 1024+144])
	if got = got[:8] + "????????" + got[16:]; got != want {
		t.Errorf("superblock\n%s, want\n%s", got, want)
	}
	le.PutUint32(b[1028:], 0)
	// crc32c() of the kernel begins with what it is given, here ~0, and does not invert the result.
	if crc := ^crc32.Checksum(b[1024:], crc32.MakeTable(crc32.Castagnoli)); sum != crc {
		t.Errorf("checksum %08x, want %08x", sum, crc)
	}
}

// An inode of each size, by the offsets of erofs_fs.h.
func TestInode(t *testing.T) {
	n := &fstree.Node{Type: fstree.FIFO, Mode: 0o644, UID: 0x0102, GID: 0x0304, Links: 5}
	img := &image{inodes: []inode{{node: n}, {node: n}}}
	for size, want := range map[uint64]string{
		compactSize: "0000" + "0300" + "a411" + "0500" + "00000000" + "00000000" + "ffffffff" + "02000000" + "0201" + "0403" +
			"00000000",
		extendedSize: "0100" + "0300" + "a411" + "0000" + "0000000000000000" + "ffffffff" + "02000000" + "02010000" +
			"04030000" + "0000000000000000" + "00000000" + "05000000" + strings.Repeat("00", 16),
	} {
		got := hex.EncodeToString(img.encodeInode(1, &shape{inode: size, xattrs: make([]byte, 20)}))
		if got != want {
			t.Errorf("inode\n%s, want\n%s", got, want)
		}
	}
}

// The same layers give the same bytes, with one segment at once or several; another tree has another UUID.
func TestReproducible(t *testing.T) {
	layers := imagetest.Everything(t, 64<<10)
	uuids := map[string]bool{}
	for _, compressor := range codecs {
		first := linkBytes(t, packTars(t, compressor, 1, layers...)...)
		for jobs := range 3 {
			if again := linkBytes(t, packTars(t, compressor, jobs, layers...)...); !bytes.Equal(first, again) {
				t.Errorf("%s: other bytes with %d jobs", compressor, jobs)
			}
		}
		other := linkBytes(t, packTars(t, compressor, 1, layers[0])...)
		uuids[string(first[1072:1088])], uuids[string(other[1072:1088])] = true, true
	}
	if len(uuids) < 2*len(codecs)-1 {
		t.Errorf("only %d UUIDs", len(uuids))
	}
}

// A change of the last layer leaves the data of those below as and where it is, whatever the sizes.
func TestChangedLayer(t *testing.T) {
	for _, compressor := range codecs {
		base := build(t, compressor, func(b *erofspack.Builder) {
			for i := range 50 {
				add(t, b, file(fmt.Sprintf("lib/%d", i)), imagetest.Text(i, 30_000)+imagetest.Noise(i, 30_000))
			}
		})
		app := func(seed, files, size int) []byte {
			return linkBytes(t, base, build(t, compressor, func(b *erofspack.Builder) {
				for i := range files {
					add(t, b, file(fmt.Sprintf("app/%d", i)), imagetest.Noise(seed+i, size+100*i))
				}
			}))
		}
		want := dataOf(linkBytes(t, base))
		if least := 50 * 30_000; len(want) < least {
			t.Fatalf("%s: the base has %d bytes of data, want %d", compressor, len(want), least)
		}
		for i, image := range [][]byte{app(1000, 1, 100_000), app(2000, 1, 100_000), app(3000, 20, 7000), app(4000, 0, 0)} {
			if !bytes.HasPrefix(dataOf(image), want) {
				t.Errorf("%s: image %d does not begin with the data of the base", compressor, i)
			}
		}
	}
}

// A change that hides a file of a layer below leaves out its blocks alone; those in front stay where they are.
func TestChangeHides(t *testing.T) {
	for _, compressor := range codecs {
		layer := func(names ...string) *erofspack.Reader {
			return build(t, compressor, func(b *erofspack.Builder) {
				for _, name := range names {
					add(t, b, file(name), imagetest.Noise(int(name[0]), 5*blockSize))
				}
			})
		}
		base := layer("a", "b", "c")
		hidden := build(t, compressor, func(b *erofspack.Builder) { add(t, b, special("b", fstree.FIFO), "") })
		all, got := dataOf(linkBytes(t, base)), dataOf(linkBytes(t, base, hidden))
		b := []byte(imagetest.Noise('b', 5*blockSize))
		if want := bytes.Replace(all, b, nil, 1); len(want) != len(all)-len(b) || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of data, want %d without those of b", compressor, len(got), len(want))
		}
	}
}

// dataOf is the data of an image: all between the superblock and xattr_blkaddr.
func dataOf(image []byte) []byte {
	return image[blockSize : uint64(le.Uint32(image[1024+44:]))*blockSize]
}

// Equal files of two layers have one copy; what a later layer hides has none.
func TestShared(t *testing.T) {
	for _, compressor := range codecs {
		data := imagetest.Noise(1, 1<<20)
		one := build(t, compressor, func(b *erofspack.Builder) {
			add(t, b, file("a"), data)
			add(t, b, file("hidden"), imagetest.Noise(2, 1<<20))
		})
		two := build(t, compressor, func(b *erofspack.Builder) {
			add(t, b, file("b"), data)
			add(t, b, file("hidden"), "x")
		})
		image, stats := link(t, one, two)
		if stats.Shared != 1<<20 || stats.Copied != 1<<20 || stats.Size > 1<<20+8*blockSize {
			t.Errorf("%s: %+v", compressor, stats)
		}
		checkContents(t, mount(t, image), map[string]string{"a": data, "b": data, "hidden": "x"})
	}
}

func TestErrors(t *testing.T) {
	pack := func(compressor string) *erofspack.Reader {
		return build(t, compressor, func(b *erofspack.Builder) { add(t, b, file("dir/f"), imagetest.Noise(1, 9000)) })
	}
	none, lz4 := pack("none"), pack("lz4")
	ctx, cancel := context.WithCancel(context.Background())
	try := func(packs []*erofspack.Reader, tree *fstree.Tree, name string) error {
		_, err := Link(ctx, &bytes.Buffer{}, tree, packs, Options{codec.Spec{Name: name}})
		return err
	}
	both := []*erofspack.Reader{none, none}
	for want, err := range map[string]error{
		"is made with lz4, the image with none":                                   try([]*erofspack.Reader{lz4}, fstreetest.Merge(t, both[:1]), "none"),
		"erofs images are not made with zstd":                                     try(nil, fstreetest.Merge(t, both[:1]), "zstd"),
		`"/dir/f": it has the content 0 of layer 1, which is not among the packs`: try(both[:1], fstreetest.Merge(t, both), "none"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	cancel()
	if err := try(both[:1], fstreetest.Merge(t, both[:1]), "none"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Damage of the data, in blocks and tails, is found when it is copied.
func TestDamagedData(t *testing.T) {
	for _, compressor := range codecs {
		pack := build(t, compressor, func(b *erofspack.Builder) { add(t, b, file("f"), imagetest.Noise(1, 9000)) })
		data, err := os.ReadFile(pack.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{blockSize, 3*blockSize - 1, 3 * blockSize} {
			data[at] ^= 1
			if err := os.WriteFile(pack.Name(), data, 0o644); err != nil {
				t.Fatal(err)
			}
			data[at] ^= 1
			_, err := linkTo(t, &bytes.Buffer{}, pack)
			if err == nil || !strings.Contains(err.Error(), "its data is damaged; pack the layer again") {
				t.Errorf("%s, byte %d: error %v", compressor, at, err)
			}
		}
	}
}

// A write that fails ends the link with its error.
func TestFullDisk(t *testing.T) {
	pack := build(t, "lz4", func(b *erofspack.Builder) {
		for i := range 500 {
			add(t, b, file(fmt.Sprintf("%0200d", i)), imagetest.Noise(i, 5000))
		}
	})
	full := errors.New("no space left")
	_, stats := link(t, pack)
	for limit := 0; limit < int(stats.Size); limit += int(stats.Size) / 7 {
		if _, err := linkTo(t, &limitedWriter{limit, full}, pack); !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}
