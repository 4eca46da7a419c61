//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// disk makes a file of zeros with strings at their offsets.
func disk(t *testing.T, size int, parts map[int]string) string {
	t.Helper()
	b := make([]byte, size)
	for at, part := range parts {
		copy(b[at:], part)
	}
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDetect(t *testing.T) {
	const large = 128 << 10
	for _, tt := range []struct {
		size     int
		parts    map[int]string
		fs       string
		writable bool
	}{
		{96, map[int]string{0: "hsqs"}, "squashfs", false},
		{4096, map[int]string{1024: "\xe2\xe1\xf5\xe0"}, "erofs", false},
		{large, map[int]string{0: "boot sector", 1080: "\x53\xef"}, "ext4", true},
		{large, map[int]string{0: "XFSB"}, "xfs", true},
		{large, map[int]string{65600: "_BHRfS_M"}, "btrfs", true},
		{65608, map[int]string{65600: "_BHRfS_M"}, "btrfs", true},
		{large, map[int]string{1080: "\x53\xef", 65600: "_BHRfS_M"}, "ext4", true},          // a file with an image of btrfs
		{large, map[int]string{0: "hsqs", 1080: "\x53\xef"}, "squashfs", false},             // compressed data
		{large, map[int]string{1024: "\xe2\xe1\xf5\xe0", 1080: "\x53\xef"}, "erofs", false}, // a UUID
	} {
		fs, _, err := detect(disk(t, tt.size, tt.parts))
		if err != nil {
			t.Errorf("%q: %v", tt.parts, err)
		} else if fs.name != tt.fs || fs.writable() != tt.writable {
			t.Errorf("%q: got %s, writable %v, want %s, %v", tt.parts, fs.name, fs.writable(), tt.fs, tt.writable)
		}
	}
}

func TestDetectRefuses(t *testing.T) {
	const none = " holds no file system that boots (squashfs, erofs, ext4, xfs or btrfs), its first bytes are "
	for _, tt := range []struct {
		size int
		head string
		want string
	}{
		{128 << 10, "sqsh", none + "73 71 73 68 00 00 00 00; attach the image as the machine's first virtio disk; if it is, " + changed},
		{3, "hsq", none + "68 73 71; "},
		{0, "", none + "; "},
	} {
		if fs, _, err := detect(disk(t, tt.size, map[int]string{0: tt.head})); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d bytes that begin with %q: %+v, error %v, want %q", tt.size, tt.head, fs, err, tt.want)
		}
	}
	if _, _, err := detect("/nonexistent"); err == nil || err.Error() != "open /nonexistent: no such file or directory" {
		t.Errorf("a missing disk: %v", err)
	}
}
