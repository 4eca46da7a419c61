package fidelity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// The file systems beside squashfs, which the kernel mounts.
var (
	erofsNone = harness.Settings{Kind: "erofs", Compression: "none"}
	erofsLZ4  = harness.Settings{Kind: "erofs", Compression: "lz4"}
	ext4      = harness.Settings{Kind: "ext4", Compression: "none"}
)

func squashfs(compression string, level, blockSize int) harness.Settings {
	return harness.Settings{Kind: "squashfs", Compression: compression, Level: level, BlockSize: blockSize}
}

// The corpus, a Debian system with every kind of file, comes out as umoci unpacks it. xz, which takes minutes for it, is
// compared on small layers (internal/squashfs).
func TestCorpus(t *testing.T) {
	harness.NeedSlow(t, "makes a Debian system and compares images of it")
	testCorpus(t, corpus.Options{Compression: layers.Gzip}, []harness.Settings{
		squashfs("zstd", 3, 128<<10), squashfs("gzip", 1, 128<<10), squashfs("lz4", 0, 64<<10),
		squashfs("none", 0, 128<<10), erofsNone, erofsLZ4, ext4,
	})
}

// So does a file of more than 4 GiB beside it.
func TestCorpusHuge(t *testing.T) {
	harness.NeedSlow(t, "unpacks 5 GB, twice")
	testCorpus(t, corpus.Options{Compression: layers.Gzip, Huge: true}, []harness.Settings{squashfs("zstd", 3, 1<<20), erofsNone, ext4})
}

func testCorpus(t *testing.T, o corpus.Options, every []harness.Settings) {
	imagetest.NeedRoot(t, "umoci", "unsquashfs", "mksquashfs")
	layout := makeCorpus(t, o)
	blobs, err := layers.Blobs(layout)
	if err != nil {
		t.Fatal(err)
	}
	root, err := imagetest.UnpackImage(t, layout+":"+layers.Tag)
	if err != nil {
		t.Fatal(err)
	}
	want := imagetest.Describe(t, root)
	t.Logf("%d names", len(want))
	wantListing := listing(t, mksquashfs(t, root))
	for i, s := range every {
		t.Run(s.String(), func(t *testing.T) {
			image := harness.MakeImage(t, s, blobs...)
			if s.Kind == "squashfs" {
				dir := extract(t, image)
				compare(t, "extracted by unsquashfs", want, imagetest.Describe(t, dir))
				if err := os.RemoveAll(dir); err != nil { // the huge file alone takes 5 GB
					t.Fatal(err)
				}
				compare(t, "unsquashfs -lln", wantListing, listing(t, image))
			}
			if i == 0 || s.Kind != "squashfs" {
				t.Run("kernel", func(t *testing.T) {
					compare(t, "mounted by the kernel", want, imagetest.Describe(t, imagetest.MountAs(t, s.Kind, "ro", image)))
				})
			}
		})
	}
}

// The image depends on the layers' content, not on how they were compressed on the way.
func TestCorpusLayerCompression(t *testing.T) {
	harness.NeedSlow(t, "makes a Debian system and packs it twice")
	imagetest.NeedRoot(t)
	var images [2][]byte
	for i, compression := range []layers.Compression{layers.Gzip, layers.Zstd} {
		blobs, err := layers.Blobs(makeCorpus(t, corpus.Options{Compression: compression}))
		if err != nil {
			t.Fatal(err)
		}
		if images[i], err = os.ReadFile(harness.MakeImage(t, squashfs("lz4", 0, 128<<10), blobs...)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("layers stored with gzip and with zstd give different images")
	}
}

func makeCorpus(t *testing.T, o corpus.Options) string {
	t.Helper()
	var progress bytes.Buffer
	layout, err := corpus.Make(context.Background(), o, &progress)
	if errors.Is(err, corpus.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, progress.Bytes()))
	}
	return layout
}
