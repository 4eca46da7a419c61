package packing

import (
	"strings"
	"testing"
)

func TestCodec(t *testing.T) {
	for _, tt := range []struct {
		kind, name string
		level      int
		want       string // the codec, or an error
	}{
		{Squashfs, "", 0, "zstd 15"},
		{Squashfs, "xz", 0, "xz"},
		{Initramfs, "", 0, "gzip 6"},
		{Initramfs, "", 9, "gzip 9"},
		{Erofs, "", 0, "lz4"},
		{Erofs, "none", 0, "none"},
		{Erofs, "zstd", 0, "use lz4"},
		{Ext4, "", 0, "none"},
		{XFS, "none", 0, "none"},
		{Btrfs, "zstd", 0, "btrfs holds files as they are: leave compression and its level out"},
		{Ext4, "", 3, "ext4 holds files as they are"},
	} {
		spec, err := Codec(tt.kind, tt.name, tt.level)
		if got := spec.String(); err == nil && got != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %q, %d: %s, %v, want %s", tt.kind, tt.name, tt.level, got, err, tt.want)
		}
	}
}
