package naming

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/manifest"
)

// Stem is an image's name without what tells its kind.
func Stem(image string) string {
	for _, end := range []string{".img", ".squashfs", ".erofs", ".ext4", ".xfs", ".btrfs", ".cpio.gz", ".cpio.zst", ".cpio.xz", ".cpio.lz4", ".cpio"} {
		if s, ok := strings.CutSuffix(image, end); ok {
			return s
		}
	}
	return image
}

// ManifestsOf are the names that the manifest of an image may have: app.img has app.manifest.json, app-rootfs.img too.
func ManifestsOf(image string) []string {
	s := Stem(image)
	return []string{s + ".manifest.json", strings.TrimSuffix(s, "-rootfs") + ".manifest.json"}
}

// Located is the file that the manifest in the file name names: URLs are relative to it.
func Located(name string, part *manifest.Artifact) (string, error) {
	url := strings.TrimPrefix(part.URL, "file://")
	switch {
	case strings.Contains(url, "://"):
		return "", fmt.Errorf("url %s is not of this machine: fetch it and put it beside the manifest under its own name", url)
	case url == "":
		return "", errors.New("it has no url")
	case filepath.IsAbs(url):
		return url, nil
	}
	return filepath.Join(filepath.Dir(name), filepath.FromSlash(url)), nil
}
