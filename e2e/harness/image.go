package harness

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// Settings are the kind of image (a file system, or initramfs), a compressor and what else decides over an image's bytes.
// Level and block size are of squashfs alone.
type Settings struct {
	Kind        string
	Compression string
	Level       int
	BlockSize   int
}

func (s Settings) String() string {
	return fmt.Sprintf("%s-%s-%d-%d", s.Kind, s.Compression, s.Level, s.BlockSize)
}

func (s Settings) flags() []string {
	if s.Kind != "squashfs" {
		return []string{"--compression", s.Compression}
	}
	return []string{
		"--compression", s.Compression, "--level", fmt.Sprint(s.Level), "--block-size", fmt.Sprint(s.BlockSize),
	}
}

// MakeImage packs and links layer files whose names are their SHA-256, base first, and returns the image.
func MakeImage(t testing.TB, s Settings, blobs ...string) string {
	t.Helper()
	image, r := TryMakeImage(t, s, blobs...)
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Output)
	}
	return image
}

// TryMakeImage is MakeImage for layers that may not make one: it gives the result of the packer's last run, which failed when its
// code is not 0.
func TryMakeImage(t testing.TB, s Settings, blobs ...string) (image string, r toolrun.Result) {
	t.Helper()
	dir := t.TempDir()
	image = filepath.Join(dir, "image.img")
	link := []string{"rootfs", "--filesystem", s.Kind}
	if s.Kind == "initramfs" {
		link = []string{"initramfs"}
	}
	link = append(link, "--out", image, "--digest-out", image+".sha256")
	for i, blob := range blobs {
		pack := filepath.Join(dir, fmt.Sprintf("%d.pack", i))
		args := []string{"pack", "--for", s.Kind, "--layer", blob, "--digest", "sha256:" + filepath.Base(blob), "--out", pack}
		if r = Packer(t, append(args, s.flags()...)...); r.Code != 0 {
			return image, r
		}
		link = append(link, "--pack", pack)
	}
	return image, Packer(t, append(link, s.flags()...)...)
}
