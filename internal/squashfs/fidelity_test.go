package squashfs

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
)

func compare(t *testing.T, what string, want, got []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs from what umoci unpacks (-umoci +image):\n%s", what, diff)
	}
}

// The image holds exactly what umoci unpacks, for the kernel and for unsquashfs, with every compressor and block size.
func TestAgainstUmoci(t *testing.T) {
	imagetest.NeedRoot(t, "umoci")
	for _, tc := range []struct {
		compressor string
		blockSize  int
	}{
		{"zstd", 4096}, {"zstd", 8192}, {"zstd", 64 << 10}, {"zstd", 128 << 10}, {"zstd", 1 << 20},
		{"gzip", 4096}, {"gzip", 128 << 10}, {"xz", 8192}, {"xz", 128 << 10},
		{"lz4", 4096}, {"lz4", 1 << 20}, {"none", 4096}, {"none", 128 << 10},
	} {
		t.Run(fmt.Sprintf("%s %d", tc.compressor, tc.blockSize), func(t *testing.T) {
			layers := imagetest.Everything(t, tc.blockSize)
			want := imagetest.Unpacked(t, layers)
			o := options(t, tc.compressor, tc.blockSize)
			image, stats := link(t, o, packTar(t, o, layers[0]), packTar(t, o, layers[1]))
			if stats.Inodes >= len(want) || stats.Shared == 0 || stats.Dropped.Count != 0 || stats.Clamped != 0 {
				t.Errorf("%d names, but stats %+v", len(want), stats)
			}
			t.Run("kernel", func(t *testing.T) {
				compare(t, "the mounted image", want, imagetest.Describe(t, imagetest.Mount(t, image)))
			})
			t.Run("unsquashfs", func(t *testing.T) {
				compare(t, "what unsquashfs extracts", want, imagetest.Describe(t, unsquash(t, image)))
			})
		})
	}
}

// A second reader, which was written independently of the kernel's and of unsquashfs.
func TestAgainstSquashfsToolsNG(t *testing.T) {
	imagetest.NeedRoot(t, "umoci", "sqfs2tar", "tar")
	layers := imagetest.Everything(t, 128<<10)
	want := imagetest.Unpacked(t, layers)
	o := options(t, "zstd", 128<<10)
	image, _ := link(t, o, packTar(t, o, layers[0]), packTar(t, o, layers[1]))
	archive, dir := filepath.Join(t.TempDir(), "image.tar"), t.TempDir()
	imagetest.Run(t, "sh", "-c", `exec sqfs2tar --root-becomes . "$0" >"$1"`, image, archive)
	imagetest.Run(t, "tar", "-C", dir, "-xpf", archive,
		"--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner")
	compare(t, "what sqfs2tar and tar extract", want, imagetest.Describe(t, dir))
}
