package initramfs

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	reader "github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/elfinfo"
	"github.com/fledge-build/fledge/internal/fstree"
)

// item is an entry and its data.
type item struct {
	fstree.Entry
	data string
}

func regular(path, data string) item {
	return item{fstree.Entry{Path: path, Type: fstree.Regular, Mode: 0o644}, data}
}

func hardLink(path, target string) item {
	return item{Entry: fstree.Entry{Path: path, Type: fstree.HardLink, Link: target, Content: fstree.NoContent}}
}

func symlink(path, target string) item {
	return item{Entry: fstree.Entry{Path: path, Type: fstree.Symlink, Link: target, Content: fstree.NoContent}}
}

func executable(i item) item { i.Mode = 0o755; return i }

func spec(t testing.TB, name string) codec.Spec {
	t.Helper()
	s, err := codec.ParseSpec(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pack(t testing.TB, compressor string, items ...item) *cpiopack.Reader {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x.pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := cpiopack.NewBuilder(f, cpiopack.Options{Codec: spec(t, compressor)})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		if err := b.Add(i.Entry, strings.NewReader(i.data), int64(len(i.data))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := cpiopack.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// merge merges layers on top of the base; one whose number is in fill adds only what is missing.
func merge(t testing.TB, packs []*cpiopack.Reader, fill ...int) (*fstree.Tree, []*cpiopack.Reader) {
	t.Helper()
	m := fstree.NewMerger()
	if err := m.AddLayer("base", Base()); err != nil {
		t.Fatal(err)
	}
	for i, p := range packs {
		add := m.AddLayer
		if slices.Contains(fill, i) {
			add = m.AddMissing
		}
		if err := add(fmt.Sprint(i), p.Entries()); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := m.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree, append([]*cpiopack.Reader{nil}, packs...)
}

// linked links without compression and lists the archive's names outside of the base, with data and number of links.
func linked(t *testing.T, packs []*cpiopack.Reader, fill ...int) ([]string, Stats) {
	t.Helper()
	var out bytes.Buffer
	tree, all := merge(t, packs, fill...)
	stats, err := Link(context.Background(), &out, tree, all, Options{Codec: spec(t, "none")})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Size != int64(out.Len()) {
		t.Errorf("%d bytes, Stats says %d", out.Len(), stats.Size)
	}
	base := map[string]bool{}
	for e := range Base() {
		base[e.Path] = true
	}
	var list []string
	for in := reader.NewReader(&out); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if !base[h.Name] {
			list = append(list, strings.TrimSpace(fmt.Sprintf("%s %d %.9s%s", h.Name, h.Links, data, h.Linkname)))
		}
	}
	if out.Len() > 3 {
		t.Errorf("%d bytes behind the trailer", out.Len())
	}
	return list, stats
}

func TestLink(t *testing.T) {
	large := strings.Repeat("0123456789", 1<<20) // more than is compressed again in memory
	for _, c := range []struct {
		name              string
		layers            [][]item
		want              []string
		copied, rewritten int
	}{
		{"as packed", [][]item{{regular("a", "1"), regular("b", "2")}, {regular("c", "3")}}, []string{"a 1 1", "b 1 2", "c 1 3"}, 2, 0},
		{"overridden", [][]item{{regular("a", "1"), regular("b", "2")}, {regular("a", "3")}}, []string{"b 1 2", "a 1 3"}, 1, 1},
		{"all hidden", [][]item{{regular("a", "1")}, {regular("a", "2")}}, []string{"a 1 2"}, 1, 0},
		{"hidden", [][]item{{regular("a", "1"), regular("b", "2")}, {regular(".wh.b", "")}}, []string{"a 1 1"}, 0, 1},
		{"becomes a symlink", [][]item{{regular("a", "1"), regular("b", "2")}, {symlink("a", "b")}}, []string{"a 1 b", "b 1 2"}, 0, 1},
		{"linked later", [][]item{{regular("a", "1")}, {hardLink("0", "a")}}, []string{"0 2 1", "a 2"}, 0, 1},
		{"a name overridden", [][]item{{regular("a", "1"), hardLink("b", "a")}, {regular("b", "2")}}, []string{"a 1 1", "b 1 2"}, 1, 1},
		{"below a symlink", [][]item{{symlink("lib", "usr/lib"), regular("lib/a", "1")}}, []string{"lib 1 usr/lib", "usr/lib/a 1 1"}, 0, 1},
		{"empty files", [][]item{{regular("a", ""), hardLink("b", "a")}}, []string{"a 2", "b 2"}, 0, 0},
		{"large, linked later", [][]item{{regular("a", large)}, {hardLink("0", "a")}}, []string{"0 2 012345678", "a 2"}, 0, 1},
	} {
		var packs []*cpiopack.Reader
		for _, items := range c.layers {
			packs = append(packs, pack(t, "none", items...))
		}
		got, stats := linked(t, packs)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if stats.Copied != c.copied || stats.Rewritten != c.rewritten {
			t.Errorf("%s: copied %d, rewritten %d; want %d and %d", c.name, stats.Copied, stats.Rewritten, c.copied, c.rewritten)
		}
	}
}

func TestFill(t *testing.T) {
	fill := []item{regular("bin/busybox", "ours"), symlink("bin/ls", "/bin/busybox"), symlink("bin/vi", "/bin/busybox")}
	image := pack(t, "none", regular("bin/ls", "theirs"))
	got, _ := linked(t, []*cpiopack.Reader{image, pack(t, "none", fill...)}, 1)
	if diff := cmp.Diff([]string{"bin/vi 1 /bin/busybox", "bin/ls 1 theirs", "bin/busybox 1 ours"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// An image with a busybox gets none of ours.
	image = pack(t, "none", regular("bin/busybox", "theirs"))
	got, _ = linked(t, []*cpiopack.Reader{image, pack(t, "none", fill...)}, 1)
	if diff := cmp.Diff([]string{"bin/busybox 1 theirs"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStats(t *testing.T) {
	caps := regular("caps", "x")
	caps.Xattrs = []fstree.Xattr{{Name: "security.capability", Value: []byte("c")}, {Name: "user.a"}}
	caps.ModTime = -1
	_, stats := linked(t, []*cpiopack.Reader{pack(t, "none", caps, regular("page", strings.Repeat("x", 4097)))})
	if !slices.Equal(stats.Capabilities, []string{"caps"}) || stats.Xattrs != 1 || stats.Clamped != 1 || stats.Files != 2 {
		t.Errorf("%+v", stats)
	}
	if want := int64(3*pageSize + inodeSize*(stats.Directories+2+2)); stats.Unpacked != want {
		t.Errorf("%d bytes unpacked, want %d", stats.Unpacked, want)
	}
}

func TestMixedLZ4(t *testing.T) {
	tree, packs := merge(t, []*cpiopack.Reader{pack(t, "lz4", regular("a", "1"))})
	_, err := Link(context.Background(), io.Discard, tree, packs, Options{Codec: spec(t, "gzip")})
	if err == nil || !strings.Contains(err.Error(), "lz4 cannot be mixed") {
		t.Errorf("error %v", err)
	}
}

// program is an ELF file for a machine (62: amd64, 183: arm64) that names a loader unless that is "".
func program(machine byte, loader string) string {
	h := make([]byte, 64+56)
	copy(h, "\x7fELF\x02\x01\x01")
	h[16], h[18], h[20], h[24] = 2, machine, 1, 1 // ET_EXEC, e_machine, e_version, e_entry
	h[32], h[52], h[54] = 64, 64, 56
	if loader != "" {
		h[56], h[64], h[72], h[96] = 1, 3, 120, byte(len(loader)+1) // one PT_INTERP
	}
	return string(h) + loader + "\x00"
}

func TestLint(t *testing.T) {
	loader := executable(regular("lib64/ld.so", program(62, "")))
	for _, c := range []struct {
		name  string
		items []item
		want  string
	}{
		{"static", []item{executable(regular("bin/a", program(62, "")))}, ""},
		{"text", []item{executable(regular("bin/a", "#!/bin/sh"))}, ""},
		{"not executable", []item{regular("bin/a", program(183, ""))}, ""},
		{
			"other processor", []item{executable(regular("bin/a", program(183, "")))},
			"/bin/a is a program for AARCH64, the image is for amd64",
		},
		{"with loader", []item{loader, executable(regular("bin/a", program(62, "/lib64/ld.so")))}, ""},
		{
			"without loader", []item{executable(regular("bin/a", program(62, "/lib64/ld.so")))},
			"/bin/a needs the dynamic loader /lib64/ld.so, which is not in the image",
		},
	} {
		tree, packs := merge(t, []*cpiopack.Reader{pack(t, "none", c.items...)})
		problems, err := Lint(tree, packs, "amd64")
		if got := strings.Join(problems, "\n"); err != nil || (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	lintShell(t)
	if _, err := Lint(&fstree.Tree{}, nil, "mips"); err == nil {
		t.Error("no error for an unknown architecture")
	}
}

// lintShell takes the shell of this machine out of its system.
func lintShell(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skipf("needs a shell: %v", err)
	}
	info, ok := elfinfo.Read(data, true)
	if !ok || len(info.Libraries) == 0 {
		t.Skip("needs a shell with shared libraries")
	}
	arch := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[info.Machine]
	shell := executable(regular("bin/sh", string(data)))
	loader := executable(regular(strings.TrimPrefix(info.Loader, "/"), "loader"))
	missing := func(items ...item) string {
		tree, packs := merge(t, []*cpiopack.Reader{pack(t, "gzip", items...)})
		problems, err := Lint(tree, packs, arch)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(problems, "\n")
	}
	if got, want := missing(shell, loader), "/bin/sh needs "+strings.Join(info.Libraries, ", "); !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	items := []item{shell, loader}
	for _, lib := range info.Libraries {
		items = append(items, symlink("opt/lib/"+lib, "elsewhere"))
	}
	if got := missing(items...); got != "" {
		t.Errorf("%q with all libraries", got)
	}
}
