package squashfsread

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/squashfs"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
)

// open opens the image at path.
func open(t testing.TB, path string) *Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMksquashfs reads what mksquashfs makes with each compressor and with options that change the format, and compares
// with the tree that it was made from.
func TestMksquashfs(t *testing.T) {
	dir := artifacttest.Tree(t)
	plain := imagetest.Describe(t, dir)
	artifacttest.Xattrs(t, dir)
	full := imagetest.Describe(t, dir)
	for _, c := range []struct {
		args    string
		options string
		flags   string
	}{
		{"-comp gzip", "", "duplicates, exportable"},
		{"-comp gzip -Xcompression-level 1 -Xwindow-size 8 -Xstrategy default,fixed",
			"level=1 window=8 strategies=default,fixed", "duplicates, exportable, compressor options"},
		{"-comp lzma", "", "duplicates, exportable"},
		{"-comp lzo", "", "duplicates, exportable"},
		{"-comp lzo -Xalgorithm lzo1x_1_15", "algorithm=lzo1x_1_15", "duplicates, exportable, compressor options"},
		{"-comp xz", "", "duplicates, exportable"},
		{"-comp xz -b 64K -Xbcj x86,arm,armthumb,powerpc,sparc,ia64 -Xdict-size 50%",
			"dictionary=32768 filters=x86,powerpc,ia64,arm,armthumb,sparc", "duplicates, exportable, compressor options"},
		{"-comp lz4", "hc=false", "duplicates, exportable, compressor options"},
		{"-comp lz4 -Xhc", "hc=true", "duplicates, exportable, compressor options"},
		{"-comp zstd -Xcompression-level 3", "level=3", "duplicates, exportable, compressor options"},
		{"-comp zstd -b 1M -Xcompression-level 19", "level=19", "duplicates, exportable, compressor options"},
		{"-b 4K -no-exports", "", "duplicates"},
		{"-no-fragments -no-duplicates", "", "no fragments, exportable"},
		{"-always-use-fragments", "", "always fragments, duplicates, exportable"},
		{"-noI -noId -noD -noF -noX", "", "raw inodes, raw data, raw fragments, duplicates, exportable, raw xattrs"},
		{"-no-sparse", "", "duplicates, exportable"},
		{"-no-xattrs", "", "duplicates, exportable, no xattrs"},
	} {
		t.Run(c.args, func(t *testing.T) {
			r := open(t, artifacttest.Squashfs(t, dir, strings.Fields(c.args)...))
			want := full
			if strings.Contains(c.args, "-no-xattrs") {
				want = plain
			}
			if diff := cmp.Diff(want, artifacttest.Describe(t, r, true)); diff != "" {
				t.Errorf("(-tree +image)\n%s", diff)
			}
			if err := r.Verify(); err != nil {
				t.Error(err)
			}
			info := r.Info().Squashfs
			if got := strings.Join(info.Options, " "); got != c.options {
				t.Errorf("options %q", got)
			}
			if got := strings.Join(info.Flags, ", "); got != c.flags {
				t.Errorf("flags %q", got)
			}
		})
	}
}

// TestTar2sqfs reads what squashfs-tools-ng makes, another maker with choices of its own.
func TestTar2sqfs(t *testing.T) {
	dir := artifacttest.Tree(t)
	imagetest.NeedRoot(t, "tar2sqfs", "tar")
	archive := filepath.Join(t.TempDir(), "tree.tar")
	for _, compressor := range []string{"gzip", "xz", "lzma", "lz4", "zstd", "lzo"} {
		t.Run(compressor, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "test.img")
			imagetest.Run(t, "tar", "-C", dir, "--format=pax", "--exclude=./dev/socket", "-cf", archive, ".")
			cmd := exec.Command("tar2sqfs", "-q", "-c", compressor, image)
			in, err := os.Open(archive)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			cmd.Stdin = in
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("tar2sqfs: %v\n%s", err, out)
			}
			r := open(t, image)
			var want []string
			for _, line := range imagetest.Describe(t, dir) {
				if !strings.Contains(line, `"dev/socket"`) {
					want = append(want, line)
				}
			}
			if diff := cmp.Diff(want, artifacttest.Describe(t, r, false)); diff != "" {
				t.Errorf("(-tree +image)\n%s", diff)
			}
			if err := r.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFledge reads what Fledge links of layers.
func TestFledge(t *testing.T) {
	dir := artifacttest.Tree(t)
	artifacttest.Xattrs(t, dir)
	var want []string
	for _, line := range imagetest.Describe(t, dir) {
		if !strings.Contains(line, `"dev/socket"`) { // which tar has no type for
			want = append(want, line)
		}
	}
	for _, name := range []string{"gzip", "xz", "lz4", "zstd", "none"} {
		t.Run(name, func(t *testing.T) {
			r := open(t, link(t, dir, name))
			if diff := cmp.Diff(want, artifacttest.Describe(t, r, true)); diff != "" {
				t.Errorf("(-tree +image)\n%s", diff)
			}
			if err := r.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

// link has Fledge make an image of a tree.
func link(t *testing.T, dir, compressor string) string {
	t.Helper()
	spec, err := packing.Codec(packing.Squashfs, compressor, 0)
	if err != nil {
		t.Fatal(err)
	}
	const blockSize = codec.DefaultBlockSize
	settings := packing.Settings{Kind: packing.Squashfs, Codec: spec, BlockSize: blockSize}
	pack, err := layerpack.Open(artifacttest.Pack(t, dir, settings))
	if err != nil {
		t.Fatal(err)
	}
	defer pack.Close()
	image := filepath.Join(t.TempDir(), "test.img")
	err = cli.WriteFile(image, func(f *os.File) error {
		o := squashfs.Options{Codec: spec, BlockSize: blockSize, TempDir: t.TempDir()}
		_, err := squashfs.Link(t.Context(), f, artifacttest.Merge(t, pack.Entries()), []*layerpack.Reader{pack}, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}
