package erofs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fstree/fstreetest"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// dumped is the value of a line of dump.erofs.
func dumped(t *testing.T, out, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^(?:Filesystem )?` + regexp.QuoteMeta(name) + `:\s+(.*?)\s*$`).FindStringSubmatch(out)
	if m == nil {
		t.Errorf("dump.erofs tells no %s:\n%s", name, out)
		return ""
	}
	return m[1]
}

// dump.erofs and blkid see in the superblock what was written, and dump.erofs counts the files of the tree.
func TestAgainstDump(t *testing.T) {
	imagetest.Need(t, "dump.erofs", "blkid")
	features := map[string]string{
		"none": "sb_csum mtime chunked_file",
		"lz4":  "sb_csum mtime 0padding big_pcluster chunked_file", // version 1.5 has no name for ztailpacking
	}
	for _, compressor := range codecs {
		layers := imagetest.Everything(t, 64<<10)
		sparse := strings.Repeat("\x00", 8<<20) + "end"
		packs := packTars(t, compressor, 2, append(layers, imagetest.Tar(t, imagetest.Regular("sparse", sparse)))...)
		image, stats := link(t, packs...)
		data, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		u := data[1072:1088]
		uuid := fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
		out := imagetest.Run(t, "dump.erofs", "-s", image)
		for name, want := range map[string]string{
			"magic number": "0xE0F5E1E2", "blocks": fmt.Sprint(stats.Size / blockSize), "root nid": "1",
			"inode count": fmt.Sprint(stats.Inodes), "UUID": uuid, "features": features[compressor],
		} {
			if got := dumped(t, out, name); got != want {
				t.Errorf("%s: %s is %q, want %q", compressor, name, got, want)
			}
		}
		out = imagetest.Run(t, "dump.erofs", "-S", image)
		names := map[string]int{}
		for _, n := range fstreetest.Merge(t, packs).All() {
			names[fmt.Sprint(fileType(n.Type))]++
		}
		for name, kind := range map[string]string{
			"regular file count": "1", "directory count": "2", "char dev count": "3", "block dev count": "4",
			"FIFO file count": "5", "symlink file count": "7",
		} {
			if got := dumped(t, out, name); got != fmt.Sprint(names[kind]) {
				t.Errorf("%s: %s is %s, want %d", compressor, name, got, names[kind])
			}
		}
		if got := imagetest.Run(t, "blkid", "-o", "value", "-s", "TYPE", image); got != "erofs\n" {
			t.Errorf("blkid says %q", got)
		}
	}
}
