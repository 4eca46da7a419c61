package superblock

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

const (
	someUUID = "01234567-89ab-cdef-0123-456789abcdef"
	size     = 128 << 20
)

// made are file systems that their own programs make.
var made = []struct {
	name, kind string
	size       int64    // of the file before
	mkfs       []string // to which the file is added
	features   []string
}{
	{"ext4", packing.Ext4, size, []string{"mke2fs", "-q", "-t", "ext4", "-U", someUUID, "-L", "root"}, []string{"has_journal", "extent", "metadata_csum", "64bit"}},
	{"ext4 of small blocks", packing.Ext4, size, []string{"mke2fs", "-q", "-t", "ext4", "-b", "1024", "-U", someUUID, "-L", "root"}, []string{"extent"}},
	{"ext2", packing.Ext4, size, []string{"mke2fs", "-q", "-t", "ext2", "-U", someUUID, "-L", "root"}, []string{"sparse_super"}},
	{"xfs", packing.XFS, 512 << 20, []string{"mkfs.xfs", "-q", "-m", "uuid=" + someUUID, "-L", "root"}, []string{"ftype", "finobt"}},
	{"xfs of large sectors", packing.XFS, 512 << 20, []string{"mkfs.xfs", "-q", "-s", "size=4096", "-m", "uuid=" + someUUID, "-L", "root"}, []string{"ftype"}},
	{"btrfs", packing.Btrfs, 512 << 20, []string{"mkfs.btrfs", "-q", "-U", someUUID, "-L", "root"}, []string{"skinny-metadata", "free-space-tree"}},
	{"btrfs with another checksum", packing.Btrfs, 512 << 20, []string{"mkfs.btrfs", "-q", "--csum", "xxhash", "-U", someUUID, "-L", "root"}, []string{"no-holes"}},
}

// makeOne makes one of them.
func makeOne(t *testing.T, size int64, command []string) string {
	t.Helper()
	imagetest.Need(t, command[0])
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	imagetest.Run(t, command[0], append(command[1:], file)...)
	return file
}

// headOf is the beginning of a file, and its size.
func headOf(t *testing.T, file string) (head []byte, size int64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	head, err = io.ReadAll(io.LimitReader(f, HeadSize))
	if err != nil {
		t.Fatal(err)
	}
	return head, st.Size()
}

// open reads the superblock of a file that begins with head.
func open(head []byte, size int64) (*artifact.Info, error) {
	im, err := Open(bytes.NewReader(head), size, Kind(head))
	if err != nil {
		return nil, err
	}
	return im.Info(), nil
}

// TestMade compares with what the programs of the file systems say.
func TestMade(t *testing.T) {
	for _, c := range made {
		t.Run(c.name, func(t *testing.T) {
			file := makeOne(t, c.size, c.mkfs)
			info, err := open(headOf(t, file))
			if err != nil {
				t.Fatal(err)
			}
			fs := info.FileSystem
			if info.Kind != c.kind || info.Size != c.size || fs.UUID != someUUID || fs.Label != "root" || fs.Bytes != uint64(c.size) {
				t.Errorf("%+v, %+v", info, fs)
			}
			for _, name := range c.features {
				if !slices.Contains(fs.Features, name) {
					t.Errorf("features %q, want %q", fs.Features, name)
				}
			}
			for what, want := range asked(t, c.kind, file) {
				if got := number(map[string]*uint64{"free": fs.Free, "inodes": fs.Inodes, "free inodes": fs.FreeInodes}[what]); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
		})
	}
}

func number(n *uint64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}

// asked are numbers that the file system's own programs tell.
func asked(t *testing.T, kind, file string) map[string]string {
	t.Helper()
	find := func(text, pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no %q in %s", pattern, text)
		}
		return found[1]
	}
	times := func(n, factor string) string {
		var a, b uint64
		if _, err := fmt.Sscan(n+" "+factor, &a, &b); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(a * b)
	}
	switch kind {
	case packing.Ext4:
		imagetest.Need(t, "dumpe2fs")
		said := imagetest.Run(t, "dumpe2fs", "-h", file)
		return map[string]string{
			"inodes":      find(said, `Inode count: +(\d+)`),
			"free inodes": find(said, `Free inodes: +(\d+)`),
			"free":        times(find(said, `Free blocks: +(\d+)`), find(said, `Block size: +(\d+)`)),
		}
	case packing.XFS:
		imagetest.Need(t, "xfs_db")
		said := imagetest.Run(t, "xfs_db", "-r", "-c", "sb 0", "-c", "p", file)
		return map[string]string{
			"inodes":      find(said, `\nicount = (\d+)`),
			"free inodes": find(said, `\nifree = (\d+)`),
			"free":        times(find(said, `\nfdblocks = (\d+)`), find(said, `\nblocksize = (\d+)`)),
		}
	}
	imagetest.Need(t, "btrfs")
	said := imagetest.Run(t, "btrfs", "inspect-internal", "dump-super", file)
	var total, used int64
	if _, err := fmt.Sscan(find(said, `\ntotal_bytes\s+(\d+)`), &total); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(find(said, `\nbytes_used\s+(\d+)`), &used); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"inodes": "none", "free inodes": "none", "free": fmt.Sprint(total - used)}
}

// TestErofs reads what mkfs.erofs makes of a folder.
func TestErofs(t *testing.T) {
	imagetest.Need(t, "mkfs.erofs")
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "image")
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("text ", 10000)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	imagetest.Run(t, "mkfs.erofs", "-zlz4", "-T", "1600000000", "-U", someUUID, file, dir)
	info, err := open(headOf(t, file))
	if err != nil {
		t.Fatal(err)
	}
	fs := info.FileSystem
	if info.Kind != packing.Erofs || fs.UUID != someUUID || number(fs.Inodes) != "3" || fs.Free != nil || fs.FreeInodes != nil || fs.BlockSize != 4096 ||
		int64(fs.Bytes) != info.Size || *fs.Created != 1600000000 || !slices.Equal(fs.Features, []string{"sb_csum", "mtime", "lz4_0padding"}) {
		t.Errorf("%+v, %+v", info, fs)
	}
	damage(t, file, erofsAt+60)
}

// damage changes a byte of a superblock, and cuts files off.
func damage(t *testing.T, file string, at int) {
	t.Helper()
	head, size := headOf(t, file)
	changed := slices.Clone(head)
	changed[at] ^= 1
	if _, err := open(changed, size); err == nil || !strings.Contains(err.Error(), "the superblock is damaged: its checksum is another") {
		t.Errorf("changed: error %v", err)
	}
	if _, err := open(head, size-4096); err == nil || !strings.Contains(err.Error(), "it is cut off") {
		t.Errorf("cut off: error %v", err)
	}
	for n := 0; n < len(head) && int64(n) < size; n += 97 {
		if info, err := open(head[:n], int64(n)); err == nil {
			t.Errorf("%d bytes: %+v", n, info)
		}
	}
}

func TestDamage(t *testing.T) {
	for name, at := range map[string]int{"ext4": ext4At + 110, "xfs": 40, "btrfs": btrfsAt + 40} {
		for _, c := range made {
			if c.name == name {
				t.Run(name, func(t *testing.T) { damage(t, makeOne(t, c.size, c.mkfs), at) })
			}
		}
	}
}

// FuzzOpen reads superblocks of chance.
func FuzzOpen(f *testing.F) {
	for kind := range readers {
		f.Add(kind, make([]byte, HeadSize))
	}
	f.Fuzz(func(t *testing.T, kind string, head []byte) {
		if readers[kind] == nil {
			return
		}
		fuzztest.Limit(t, 1<<20+100*len(head), func() { _, _ = readers[kind](head) })
	})
}
