package ext4

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// The image holds exactly what umoci unpacks, for the kernel, with packs of every codec and with and without a journal.
func TestAgainstUmoci(t *testing.T) {
	imagetest.NeedRoot(t, "umoci")
	for _, tc := range []struct {
		settings
		Options
	}{
		{settings{"none", 4096}, Options{}}, {settings{"none", 128 << 10}, Options{Journal: true}},
		{settings{"zstd", 128 << 10}, Options{}}, {settings{"lz4", 64 << 10}, Options{SizeBuffer: 1}},
		{settings{"gzip", 4096}, Options{}}, {settings{"xz", 8192}, Options{}}, {settings{"zstd", 1 << 20}, Options{}},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			layers := append(imagetest.Everything(t, tc.blockSize), imagetest.Extremes(t))
			want := imagetest.Unpacked(t, layers)
			image, stats := link(t, tc.Options, packTar(t, tc.settings, layers[0]),
				packTar(t, tc.settings, layers[1]), packTar(t, tc.settings, layers[2]))
			if stats.Inodes >= len(want) || stats.Dropped.Count != 0 || stats.Clamped != 0 {
				t.Errorf("%d names, but stats %+v", len(want), stats)
			}
			imagetest.Compare(t, "the mounted image", want, imagetest.Describe(t, mount(t, "ro", image)))
		})
	}
}

// A guest can use the image: write, make large directories, link, remove, fill the free space.
func TestWritable(t *testing.T) {
	imagetest.NeedRoot(t)
	for _, journal := range []bool{false, true} {
		layers := imagetest.Everything(t, 4096)
		o := Options{Journal: journal, SizeBuffer: 32}
		image, stats := link(t, o, packTar(t, plain, layers[0]), packTar(t, plain, layers[1]))
		t.Run("mounted", func(t *testing.T) {
			dir := mount(t, "rw", image)
			for i := range 1500 {
				if err := os.WriteFile(filepath.Join(dir, "tmp", fmt.Sprintf("new-%d", i)), []byte("new"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.RemoveAll(filepath.Join(dir, "bin")); err != nil {
				t.Fatal(err)
			}
			big := []byte(imagetest.Noise(1, 20<<20))
			if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(filepath.Join(dir, "big"), filepath.Join(dir, "etc", "big-too")); err != nil {
				t.Fatal(err)
			}
		})
		check(t, image)
		if stats.Free < 32<<20 || stats.Free > 32<<20+1<<20 {
			t.Errorf("%d bytes free, want 32 MiB and little more", stats.Free)
		}
	}
}
