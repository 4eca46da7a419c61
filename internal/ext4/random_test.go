package ext4

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

var (
	firstSeed = flag.Uint64("seed", 1, "the first random tree")
	seeds     = flag.Uint64("seeds", 0, "how many random trees (imagetest.Seeds)")
)

// Random trees come out of the kernel as they went into the layers, whatever the number of jobs; the kernel can write to
// the image, and e2fsck is silent before and after that.
func TestRandom(t *testing.T) {
	imagetest.NeedRoot(t, "e2fsck")
	imagetest.Seeds(t, *firstSeed, *seeds, testRandom)
}

func testRandom(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	s := settings{[]string{"none", "zstd", "lz4", "gzip"}[r.IntN(4)], 4096 << r.IntN(9)}
	layers, want := imagetest.Random(t, seed, imagetest.RandomOptions{
		Entries: 1 + r.IntN(min(300, 32<<20/s.blockSize)), LargeDir: []int{0, 100, 2000, 20_000}[seed%4],
		BlockSize: s.blockSize, XattrBytes: 4000, MinTime: minTime, MaxTime: maxTime,
	})
	var packs []*layerpack.Reader
	for _, l := range layers {
		packs = append(packs, packTar(t, s, l))
	}
	o := Options{SizeBuffer: []int{0, 1, 2, 20, 64, 130}[r.IntN(6)], Journal: r.IntN(2) == 0, Jobs: 4}
	t.Logf("%+v %+v, %d names", s, o, len(want))
	image, stats := link(t, o, packs...)
	sameBytes(t, image, o, packs)
	t.Run("read", func(t *testing.T) {
		dir := mount(t, "ro,noload", image)
		imagetest.Compare(t, "the mounted image", want, imagetest.Describe(t, dir))
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil || fs.Bfree*blockSize != stats.Free || fs.Ffree != stats.FreeInodes {
			t.Errorf("the kernel tells %d free blocks and %d inodes, Stats %+v, %v", fs.Bfree, fs.Ffree, stats, err)
		}
	})
	var now []string
	t.Run("write", func(t *testing.T) {
		dir := mount(t, "rw", image)
		touched := scribble(t, r, dir, want)
		now = imagetest.Describe(t, dir)
		slices.Sort(now)
		for _, line := range want {
			if _, ok := slices.BinarySearch(now, line); !ok && strings.Contains(line, " links 1 ") && !touched[nameOf(t, line)] {
				t.Errorf("after writing to other files there is no more %.500s", line)
			}
		}
	})
	checkUsed(t, image)
	t.Run("again", func(t *testing.T) {
		imagetest.Compare(t, "the image after writing", now, imagetest.Describe(t, mount(t, "ro", image)))
	})
}

// sameBytes links again with one job and one core.
func sameBytes(t *testing.T, image string, o Options, packs []*layerpack.Reader) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	o.Jobs = 1
	h := sha256.New()
	if _, err := Link(context.Background(), h, fstreetest.Merge(t, packs), packs, o); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := sha256.New()
	if _, err := io.Copy(first, f); err != nil || string(first.Sum(nil)) != string(h.Sum(nil)) {
		t.Errorf("another image with one job, %v", err)
	}
}

// nameOf is the path that a line of imagetest.Describe begins with.
func nameOf(t *testing.T, line string) string {
	t.Helper()
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		t.Fatal(err)
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// scribble does to a mounted image what a guest may do: it writes to files and removes some, gives others attributes,
// adds to directories, and fills the space that is left. It tells which names of want it has touched.
func scribble(t *testing.T, r *rand.Rand, dir string, want []string) map[string]bool {
	touched := map[string]bool{}
	do := func(err error) {
		if err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EDQUOT) {
			t.Error(err)
		}
	}
	for i, line := range want {
		name := nameOf(t, line)
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		if err != nil || i > 0 && r.IntN(4) > 0 {
			continue
		}
		if info.IsDir() {
			for j := range r.IntN(30) {
				do(os.WriteFile(fmt.Sprintf("%s/new %d%s", path, j, strings.Repeat("w", r.IntN(200))), []byte("new"), 0o644))
			}
			do(unix.Lsetxattr(path, "user.new", make([]byte, r.IntN(200)), 0))
			continue
		}
		touched[name] = true
		switch op := r.IntN(6); {
		case op == 0:
			do(os.Remove(path))
		case op == 1:
			do(os.Rename(path, path[:len(path)-1]+"\xff"))
			touched[name[:len(name)-1]+"\xff"] = true
		case op == 2 && info.Mode().IsRegular():
			do(unix.Lsetxattr(path, "user.b", make([]byte, r.IntN(3000)), 0))
		case op == 3:
			do(unix.Lsetxattr(path, "trusted.new", []byte("x"), 0))
		case info.Mode().IsRegular():
			do(rewrite(path, r, info.Size()))
		}
	}
	f, err := os.Create(filepath.Join(dir, "fills what is left"))
	for data := []byte(imagetest.Noise(1, 1<<20)); err == nil; {
		_, err = f.Write(data)
	}
	if f != nil {
		f.Close()
	}
	do(err)
	return touched
}

// rewrite writes somewhere into or behind a file, cuts it or makes a hole in it.
func rewrite(path string, r *rand.Rand, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	at := r.Int64N(2*size + 1)
	switch r.IntN(4) {
	case 0:
		return f.Truncate(at)
	case 1:
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, 1+r.Int64N(50_000))
	}
	_, err = f.WriteAt([]byte(imagetest.Noise(2, 1+r.IntN(100_000))), at)
	return err
}
