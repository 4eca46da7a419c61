package ext4

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

var update = flag.Bool("update", false, "write testdata/golden.hex anew")

// The superblock, a group descriptor and the root's inode are as they were.
func TestGolden(t *testing.T) {
	pack := build(t, plain, func(b *layerpack.Builder) {
		add(t, b, fstree.Entry{Path: ".", Type: fstree.Directory, Mode: 0o755, ModTime: -1, Xattrs: []fstree.Xattr{
			{Name: "trusted.a", Value: []byte("1")},
		}}, "")
		add(t, b, emptyFile("a"), "data")
		add(t, b, fstree.Entry{Path: "c", Type: fstree.CharDevice, Mode: 0o600, Major: 5, Minor: 300}, "")
	})
	image, _ := link(t, Options{SizeBuffer: 200, Journal: true}, pack)
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	table := le.Uint32(data[blockSize+8:]) * blockSize
	got := hex.Dump(data[superOffset:][:superSize]) + "\n" + hex.Dump(data[blockSize:][:2*descSize]) + "\n" +
		hex.Dump(data[table:][:12*inodeSize])
	golden := filepath.Join("testdata", "golden.hex")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the image differs from %s; after a wanted change run the test with -update\n%s", golden, got)
	}
}

// The image depends neither on how many blocks are unpacked at once nor on the packs' codec.
func TestSameBytes(t *testing.T) {
	var first []byte
	for _, compressor := range []string{"none", "zstd", "lz4"} {
		for _, jobs := range []int{1, 2, 7} {
			s := settings{compressor, 8192}
			layers := imagetest.Everything(t, s.blockSize)
			image, _ := link(t, Options{Jobs: jobs, SizeBuffer: 2}, packTar(t, s, layers[0]), packTar(t, s, layers[1]))
			data, err := os.ReadFile(image)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = data
			} else if !bytes.Equal(first, data) {
				t.Errorf("%s, %d jobs: another image", compressor, jobs)
			}
		}
	}
}

// UUID and hash seed are those of the content.
func TestUUID(t *testing.T) {
	identity := func(name, content string, mode uint16) string {
		image, _ := link(t, Options{SizeBuffer: 1}, build(t, plain, func(b *layerpack.Builder) {
			e := emptyFile(name)
			e.Mode = mode
			add(t, b, e, content)
		}))
		data, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		super := data[superOffset:]
		if super[0x68+6]>>4 != 8 || super[0x68+8]>>6 != 2 {
			t.Errorf("UUID %x has not version 8", super[0x68:0x78])
		}
		return fmt.Sprintf("%x %x", super[0x68:0x78], super[0xec:0xfc])
	}
	seen := map[string]bool{}
	for range 2 {
		for _, tc := range []string{"a x", "b x", "a y"} {
			name, content, _ := strings.Cut(tc, " ")
			seen[identity(name, content, 0o644)] = true
			seen[identity(name, content, 0o600)] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d identities, want 6", len(seen))
	}
}

// Without holes the file has the same bytes and takes its whole size.
func TestPreallocate(t *testing.T) {
	pack := build(t, plain, func(b *layerpack.Builder) { add(t, b, emptyFile("f"), "data") })
	image, stats := link(t, Options{}, pack)
	var full bytes.Buffer
	if _, err := Link(context.Background(), &full, fstreetest.Merge(t, []*layerpack.Reader{pack}), []*layerpack.Reader{pack}, Options{}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(image)
	if err != nil || !bytes.Equal(data, full.Bytes()) {
		t.Errorf("other bytes with holes than without, %v", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(image, &st); err != nil || st.Blocks*512 > 1<<20 || stats.Size < 64<<20 {
		t.Errorf("the file takes %d bytes of %d, %v", st.Blocks*512, stats.Size, err)
	}
}

// resize2fs makes the image larger and as small as it can, the kernel makes it larger while it is mounted; the files
// stay as they are.
func TestResize(t *testing.T) {
	imagetest.NeedRoot(t, "resize2fs", "findmnt")
	layers := imagetest.Everything(t, 4096)
	for _, journal := range []bool{false, true} {
		image, _ := link(t, Options{Journal: journal}, packTar(t, plain, layers[0]), packTar(t, plain, layers[1]))
		var want []string
		t.Run("before", func(t *testing.T) { want = imagetest.Describe(t, mount(t, "ro", image)) })
		for _, size := range []string{"3G", "40G"} {
			imagetest.Run(t, "resize2fs", image, size)
			check(t, image)
		}
		imagetest.Run(t, "resize2fs", "-M", image)
		check(t, image)
		if err := os.Truncate(image, 30<<30); err != nil {
			t.Fatal(err)
		}
		t.Run("same files", func(t *testing.T) {
			imagetest.Compare(t, "the image made larger and smaller", want, imagetest.Describe(t, mount(t, "ro", image)))
		})
		t.Run("mounted", func(t *testing.T) {
			needResource(t)
			dir := mount(t, "rw", image)
			device := strings.TrimSpace(imagetest.Run(t, "findmnt", "-no", "SOURCE", dir))
			imagetest.Run(t, "resize2fs", device, "30G")
			imagetest.Compare(t, "the mounted image", want, imagetest.Describe(t, dir))
		})
		check(t, image)
	}
}

// needResource skips the test without the capability that the kernel asks for.
func needResource(t *testing.T) {
	t.Helper()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil || data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		t.Skipf("needs CAP_SYS_RESOURCE, to resize a mounted file system (%v)", err)
	}
}

// debugfs, which is another reader than the kernel, finds the same data.
func TestDebugfs(t *testing.T) {
	imagetest.NeedRoot(t, "debugfs")
	layers := imagetest.Everything(t, 4096)
	image, _ := link(t, Options{}, packTar(t, plain, layers[0]), packTar(t, plain, layers[1]))
	dir := t.TempDir()
	imagetest.Run(t, "debugfs", "-R", "rdump / "+dir, image)
	mounted := mount(t, "ro", image)
	for _, name := range []string{"bin/true", "bin/big", "bin/zeros", "etc/high", "etc/true-three", "var/through"} {
		want, err := os.ReadFile(filepath.Join(mounted, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs, %v", name, err)
		}
	}
	for path, want := range map[string]string{
		"etc/high": "User:    -2   Group:    -2", "etc/sh": `Fast link dest: "../bin/true"`,
		"dev/far": "4095:1048575", "etc/far": "Size: 4000", "bin/true": "Mode:  04755",
	} {
		if out := imagetest.Run(t, "debugfs", "-R", "stat /"+path, image); !strings.Contains(out, want) {
			t.Errorf("%s: no %q in %s", path, want, out)
		}
	}
}

// failing fails after some bytes.
type failing struct{ left int }

var errFull = errors.New("no space")

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// Errors of the output, of packs and of the caller end the work.
func TestErrors(t *testing.T) {
	pack := build(t, settings{"zstd", 4096}, func(b *layerpack.Builder) {
		for i := range 300 {
			add(t, b, emptyFile(fmt.Sprint(i)), imagetest.Text(i, 60_000))
		}
	})
	packs := []*layerpack.Reader{pack}
	for left := 0; left < 20<<20; left += 3 << 20 {
		_, err := Link(context.Background(), &failing{left}, fstreetest.Merge(t, []*layerpack.Reader{pack}), packs, Options{SizeBuffer: 4})
		if !errors.Is(err, errFull) {
			t.Errorf("after %d bytes: %v", left, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Link(ctx, io.Discard, fstreetest.Merge(t, []*layerpack.Reader{pack}), packs, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, size := range []int{-1, MaxSizeBuffer + 1} {
		_, err := Link(context.Background(), io.Discard, fstreetest.Merge(t, []*layerpack.Reader{pack}), packs, Options{SizeBuffer: size})
		if err == nil || !strings.Contains(err.Error(), "use 0 to 1048576") {
			t.Errorf("size buffer %d: %v", size, err)
		}
	}
	tree := fstreetest.Merge(t, []*layerpack.Reader{pack})
	name := pack.File().Name()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Link(context.Background(), io.Discard, tree, packs, Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "layer pack "+name+": its data is damaged") {
		t.Errorf("damaged: %v", err)
	}
}
