package inspect

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
)

// small is a tree whose sizes stand in the golden texts.
func small(t testing.TB) string {
	t.Helper()
	imagetest.NeedRoot(t)
	dir := filepath.Join(t.TempDir(), "small")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755),
		os.WriteFile(filepath.Join(dir, "usr/bin/tool"), artifacttest.Noise(1, 5000), 0o755),
		os.Link(filepath.Join(dir, "usr/bin/tool"), filepath.Join(dir, "usr/same")),
		os.WriteFile(filepath.Join(dir, "note\n\xff"), []byte("12345"), 0o640),
		os.Symlink("usr/bin", filepath.Join(dir, "bin")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	at := time.Unix(1_600_000_000, 0)
	for _, name := range []string{"note\n\xff", "usr/bin/tool", "usr/bin", "usr", "."} {
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	imagetest.Run(t, "touch", "-h", "-d", "@1600000000", filepath.Join(dir, "bin"))
	if err := os.Chtimes(dir, at, at); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTree(t *testing.T) {
	image := artifacttest.Squashfs(t, small(t), "-noF", "-b", "4K")
	for _, c := range []struct {
		path  string
		depth int
		sizes bool
		want  string
	}{
		{".", -1, false, `drwxr-xr-x 0:0                  0 2020-09-13 12:26:40 .
lrwxrwxrwx 0:0                  7 2020-09-13 12:26:40   bin -> usr/bin
-rw-r----- 0:0                  5 2020-09-13 12:26:40   note\012\377
drwxr-xr-x 0:0                  0 2020-09-13 12:26:40   usr
drwxr-xr-x 0:0                  0 2020-09-13 12:26:40     bin
-rwxr-xr-x 0:0               5000 2020-09-13 12:26:40       tool
-rwxr-xr-x 0:0               5000 2020-09-13 12:26:40     same = usr/bin/tool
`},
		{"usr", 1, true, `drwxr-xr-x 0:0               5000         5000 2020-09-13 12:26:40 usr
drwxr-xr-x 0:0               5000         5000 2020-09-13 12:26:40   bin
-rwxr-xr-x 0:0               5000         5000 2020-09-13 12:26:40   same
`},
	} {
		var b bytes.Buffer
		if err := Tree(&b, open(t, image), c.path, c.depth, c.sizes); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.path, diff)
		}
	}
	err := Tree(new(bytes.Buffer), open(t, image), "usr/lib", -1, false)
	if err == nil || !strings.Contains(err.Error(), `"usr/lib": no such file or directory in the image`) {
		t.Error(err)
	}
}

// TestUnsquashfs compares the tree with what unsquashfs lists.
func TestUnsquashfs(t *testing.T) {
	image := artifacttest.Squashfs(t, artifacttest.Tree(t))
	imagetest.NeedRoot(t, "unsquashfs")
	out, err := exec.Command("unsquashfs", "-lln", "-UTC", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 4 && len(f[0]) == 10 {
			want = append(want, f[0]+" "+strings.Replace(f[1], "/", ":", 1))
		}
	}
	var b bytes.Buffer
	if err := Tree(&b, open(t, image), ".", -1, false); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		f := strings.Fields(line)
		got = append(got, f[0]+" "+f[1])
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 1000 {
		t.Errorf("(-unsquashfs +fledge)\n%s", diff)
	}
}

func TestText(t *testing.T) {
	dir := small(t)
	for _, c := range []struct {
		image string
		want  []string
	}{
		{artifacttest.Squashfs(t, dir, "-noF", "-b", "4K", "-all-root"), []string{
			"kind        squashfs 4.0\ncompressor  gzip, blocks of 4 KiB\n",
			"tables      6 inodes, 1 fragment block, 1 owner or group id\n",
			"contents    2 files, 3 directories, 1 symlink, 0 devices, 0 FIFOs and sockets\n            1 further hard link",
			"data        5.0 kB (5005 bytes), stored in 5.0 kB, 100.0 %\n",
			"times       2020-09-13 12:26:40 UTC to 2020-09-13 12:26:40 UTC\nowners      0:0 (7)\n",
			"Largest directories\n        STORED         SIZE    FILES  PATH\n          5000         5000        1  usr\n          5000         5000        1  usr/bin\n",
			"Largest files\n        STORED         SIZE  PATH\n          5000         5000  usr/bin/tool\n             5            5  note\\012\\377\n",
		}},
		{artifacttest.CPIO(t, dir, "newc"), []string{
			"kind        cpio (initramfs), 1 segment\n",
			"Segments\n                AT BYTE       STORED     UNPACKED  ENTRIES       IN USE\n  none                0 ",
			"        7         5005\n",
		}},
	} {
		var b bytes.Buffer
		if err := Text(&b, open(t, c.image), TextOptions{Path: ".", Depth: 2}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(c.image)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(c.want, fmt.Sprintf("digest      sha256:%x\n", sha256.Sum256(data))) {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no\n%s\nin\n%s", want, b.String())
			}
		}
	}
}

func TestJSON(t *testing.T) {
	image := artifacttest.Squashfs(t, small(t), "-noF", "-b", "4K", "-Xcompression-level", "5")
	var b bytes.Buffer
	if err := JSON(&b, open(t, image), JSONOptions{Path: ".", Digests: true}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version  int
		Kind     string
		Digest   string
		Squashfs struct {
			Compressor string
			Options    []string
			BlockSize  int `json:"block_size"`
		}
		Entries []map[string]any
		Totals  map[string]int
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.Kind != "squashfs" || got.Squashfs.Compressor != "gzip" || got.Squashfs.BlockSize != 4096 ||
		strings.Join(got.Squashfs.Options, " ") != "level=5 window=15" || got.Totals["files"] != 2 || got.Totals["hard_links"] != 1 {
		t.Errorf("%+v", got)
	}
	if len(got.Entries) != 7 {
		t.Fatalf("%d entries", len(got.Entries))
	}
	for i, want := range map[int]map[string]any{
		1: {"path": "bin", "type": "link", "mode": "0777", "uid": 0., "gid": 0., "mtime": 1.6e9, "nlink": 1., "inode": 1.,
			"target": "usr/bin"},
		2: {"path": "note\n\ufffd", "path_base64": "bm90ZQr/", "type": "file", "mode": "0640", "uid": 0., "gid": 0., "mtime": 1.6e9,
			"nlink": 1., "inode": 2., "size": 5., "stored": 5.,
			"sha256": "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"},
	} {
		if diff := cmp.Diff(want, got.Entries[i]); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestEscapes(t *testing.T) {
	for _, c := range []struct{ name, vis, printable string }{
		{"plain-1.2_x", "plain-1.2_x", "plain-1.2_x"},
		{"a b\n", `a\040b\012`, `a b\012`},
		{`\#*?[=`, `\\\043\052\077\133=`, `\134#*?[=`},
		{"ü", `\303\274`, "ü"},
		{"\xff\x1b[1m", `\377\033\1331m`, `\377\033[1m`},
		{"\u202e", `\342\200\256`, `\342\200\256`},
		{"\ufffd", `\357\277\275`, "\ufffd"},
	} {
		if got := vis(c.name); got != c.vis {
			t.Errorf("vis(%q) = %s", c.name, got)
		}
		if got := Printable(c.name); got != c.printable {
			t.Errorf("Printable(%q) = %s", c.name, got)
		}
	}
}

func TestPrintableJSON(t *testing.T) {
	for name, want := range map[string]string{
		"{\"a\": \"ü\\n\"}": `{"a": "ü\n"}`, "\u009b1m\x7f\u202e": `\u009b1m\u007f\u202e`, "\U000e0001": `\udb40\udc01`,
	} {
		if got := printableJSON(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
