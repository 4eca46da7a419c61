package imagediff

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
)

func open(t testing.TB, name string) *imagefile.Image {
	t.Helper()
	im, err := imagefile.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

// diff compares images and gives the text.
func diff(t testing.TB, a, b string, ignore ...string) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	differ, err := Diff(&out, open(t, a), open(t, b), Options{Ignore: ignore})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), differ
}

// pair makes two trees that are the same until change changes the second.
func pair(t testing.TB, change func(dir string)) (a, b string) {
	t.Helper()
	imagetest.NeedRoot(t)
	var dirs []string
	for range 2 {
		dir := filepath.Join(t.TempDir(), "tree")
		do(t, os.MkdirAll(filepath.Join(dir, "d"), 0o755))
		for name, data := range map[string]string{"f": "12345", "d/g": "abc", "d-x": "", "h": "linked"} {
			do(t, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644))
		}
		do(t, os.Link(filepath.Join(dir, "h"), filepath.Join(dir, "i")))
		do(t, os.Symlink("f", filepath.Join(dir, "l")))
		do(t, unix.Mknod(filepath.Join(dir, "n"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
		do(t, unix.Lsetxattr(filepath.Join(dir, "f"), "user.x", []byte{1}, 0))
		dirs = append(dirs, dir)
	}
	change(dirs[1])
	for _, dir := range dirs {
		do(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err == nil && !strings.HasSuffix(path, "/touched") {
				ts := []unix.Timespec{{Sec: 9}, {Sec: 9}}
				err = unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW)
			}
			return err
		}))
	}
	return artifacttest.Squashfs(t, dirs[0], "-mkfs-time", "1"), artifacttest.Squashfs(t, dirs[1], "-mkfs-time", "1")
}

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachAttribute(t *testing.T) {
	sum := func(s string) string { return s + "; contents 14 B -> 14 B, images 4.1 kB -> 4.1 kB\n" }
	one := sum("0 added (0 B), 0 removed (0 B), 1 changed (+0 B)")
	in := filepath.Join
	for name, c := range map[string]struct {
		change func(dir string)
		want   string
	}{
		"nothing": {func(string) {}, ""},
		"mode":    {func(d string) { do(t, os.Chmod(in(d, "f"), 0o600)) }, "~ f (5 bytes)\n    mode: 0644 -> 0600\n" + one},
		"owner": {func(d string) { do(t, os.Lchown(in(d, "d"), 1, 2)) },
			"~ d (dir)\n    uid: 0 -> 1\n    gid: 0 -> 2\n" + one},
		"content": {func(d string) { do(t, os.WriteFile(in(d, "d/g"), []byte("xyz"), 0o644)) },
			"~ d/g (3 bytes)\n    content: sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad -> " +
				"sha256:3608bca1e44ea6c4d268eb6db02260269892c0b42b86bbf1e77a6fa16c3c9282\n" + one},
		"target": {func(d string) { do(t, os.Remove(in(d, "l"))); do(t, os.Symlink("g\xff", in(d, "l"))) },
			"~ l (link)\n    target: f -> g\\377\n" + one},
		"device": {func(d string) {
			do(t, os.Remove(in(d, "n")))
			do(t, unix.Mknod(in(d, "n"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
		}, "~ n (char)\n    device: 1,3 -> 1,5\n" + one},
		"type": {func(d string) { do(t, os.Remove(in(d, "n"))); do(t, unix.Mkfifo(in(d, "n"), 0o600)) },
			"~ n (fifo)\n    type: char -> fifo\n" + one},
		"xattrs": {func(d string) {
			do(t, unix.Lsetxattr(in(d, "f"), "user.x", []byte{2}, 0))
			do(t, unix.Lsetxattr(in(d, "f"), "user.a", nil, 0))
		}, "~ f (5 bytes)\n    xattr user.a: none -> 0x\n    xattr user.x: 0x01 -> 0x02\n" + one},
		"added and removed": {func(d string) {
			do(t, os.Remove(in(d, "d-x")))
			do(t, os.WriteFile(in(d, "d/a"), nil, 0o644))
		}, "+ d/a (0 bytes)\n- d-x (0 bytes)\n" + sum("1 added (0 B), 1 removed (0 B), 0 changed (+0 B)")},
		"hard link": {func(d string) { do(t, os.Remove(in(d, "i"))); do(t, os.WriteFile(in(d, "i"), []byte("linked"), 0o644)) },
			"~ i (6 bytes)\n    hardlink: h -> none\n0 added (0 B), 0 removed (0 B), 1 changed (+6 B); contents 14 B -> 20 B, images 4.1 kB -> 4.1 kB\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, c.change)
			got, differ := diff(t, a, b)
			if d := cmp.Diff(c.want, got); d != "" || differ != (c.want != "") {
				t.Errorf("differ %t (-want +got)\n%s", differ, d)
			}
			if !differ {
				return
			}
			if got, differ := diff(t, b, a); !differ || strings.Count(got, "\n") != strings.Count(c.want, "\n") {
				t.Errorf("the other way round: differ %t\n%s", differ, got)
			}
			if name == "type" || name == "added and removed" {
				return
			}
			if got, differ := diff(t, a, b, Attributes[2:]...); differ {
				t.Errorf("ignored, but\n%s", got)
			}
		})
	}
}

// TestOtherFormat compares a tree as squashfs and as cpio: what differs is what cpio cannot hold.
func TestOtherFormat(t *testing.T) {
	dir := artifacttest.Tree(t)
	a, b := artifacttest.Squashfs(t, dir), artifacttest.CPIO(t, dir, "newc")
	got, _ := diff(t, a, b, "image")
	want := "~ second link (link)\n    hardlink: link -> none\n"
	if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 3 {
		t.Errorf("%s, want %s", got, want)
	}
	if got, differ := diff(t, a, b, "image", "hardlink"); differ {
		t.Error(got)
	}
	got, differ := diff(t, a, artifacttest.Squashfs(t, dir, "-comp", "zstd", "-b", "64K"))
	for _, want := range []string{"image\n", "    block size: 131072 -> 65536\n", "    compressor: gzip -> zstd\n"} {
		if !differ || !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestManifests compares images whose manifests differ.
func TestManifests(t *testing.T) {
	a, b := pair(t, func(string) {})
	for name, memory := range map[string]string{a: "512", b: "1024"} {
		manifest := `{"schema_version":"v1","name":"x","resources":{"memory_mb":` + memory + `},"workload":{"entrypoint":["/f"]}}`
		do(t, os.WriteFile(strings.TrimSuffix(name, ".img")+".manifest.json", []byte(manifest), 0o644))
	}
	got, differ := diff(t, a, b)
	if want := "manifest\n    resources.memory_mb: 512 -> 1024\n"; !differ || !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	if got, differ := diff(t, a, b, "manifest"); differ {
		t.Error(got)
	}
}

func TestJSON(t *testing.T) {
	a, b := pair(t, func(d string) {
		do(t, os.WriteFile(filepath.Join(d, "new\xff"), []byte("1234567"), 0o644))
		do(t, os.Chmod(filepath.Join(d, "f"), 0o755))
	})
	var out bytes.Buffer
	differ, err := Diff(&out, open(t, a), open(t, b), Options{JSON: true})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		A       struct{ Kind string }
		Image   []Difference
		Changes []map[string]any
		Differ  bool
		Summary Sum
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	want := []map[string]any{
		{"kind": "changed", "path": "f", "type": "file", "size_a": 5., "size_b": 5., "stored_a": got.Changes[0]["stored_a"],
			"stored_b": got.Changes[0]["stored_b"], "differences": []any{map[string]any{"name": "mode", "a": "0644", "b": "0755"}}},
		{"kind": "added", "path": "new\ufffd", "path_base64": "bmV3/w==", "type": "file", "size_a": 0., "size_b": 7., "stored_a": 0.,
			"stored_b": got.Changes[1]["stored_b"], "differences": []any{}},
	}
	if d := cmp.Diff(want, got.Changes); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if !differ || !got.Differ || got.A.Kind != "squashfs" || got.Summary.Added != 1 || got.Summary.AddedSize != 7 ||
		got.Summary.SizeA != 14 || got.Summary.SizeB != 21 {
		t.Errorf("%t %+v", differ, got)
	}
}
