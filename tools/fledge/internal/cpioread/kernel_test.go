package cpioread

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fuzztest"
)

// show tells what is in the tree: directories end in a slash, files have their content and links behind them.
func show(t *testing.T, r *Reader) string {
	t.Helper()
	var list []string
	for e, err := range r.Walk(".") {
		if err != nil {
			t.Fatal(err)
		}
		line := e.Path
		switch {
		case e.Path == ".":
			continue
		case e.Type == fstree.Directory:
			line += "/"
		case e.Type == fstree.Symlink:
			line += "->" + e.Target
		case e.Type == fstree.Regular:
			content, err := r.Open(e)
			if err != nil {
				t.Fatal(err)
			}
			b := new(strings.Builder)
			buf := make([]byte, 100)
			for n := 0; err == nil; b.Write(buf[:n]) {
				n, err = content.Read(buf)
			}
			line += "=" + b.String()
			if e.Links > 1 {
				line += "*" + strings.Repeat("*", int(e.Links)-2)
			}
		case e.Minor > 0:
			line += ":" + string(rune('0'+e.Minor))
		}
		list = append(list, line)
	}
	return strings.Join(list, " ")
}

// TestKernelRules has what kernels were seen to do with such archives.
func TestKernelRules(t *testing.T) {
	type archives [][]entry
	for _, c := range []struct {
		name     string
		archives archives
		want     string
		note     string
	}{
		{"override", archives{{file("f", "longer")}, {file("f", "new")}}, "f=new", ""},
		{"file by symlink", archives{{file("f", "x")}, {symlink("f", "t")}}, "f->t", ""},
		{"symlink by file", archives{{symlink("f", "t")}, {file("f", "x")}}, "f=x", ""},
		{"file by directory", archives{{file("f", "x")}, {dir("f"), file("f/g", "y")}}, "f/ f/g=y", ""},
		{"empty directory by file", archives{{dir("d")}, {file("d", "x")}}, "d=x", ""},
		{"full directory by file", archives{{dir("d"), file("d/f", "x")}, {file("d", "y")}}, "d/ d/f=x",
			`segment 1: "d": the kernel drops it, as a directory that is not empty has the name`},
		{"full directory by symlink", archives{{dir("d"), file("d/f", "x")}, {symlink("d", "y")}}, "d/ d/f=x",
			`segment 1: "d": the kernel drops it, as a directory that is not empty has the name`},
		{"no parent", archives{{file("d/f", "x"), file("g", "y")}}, "g=y",
			`segment 0: "d/f": the kernel drops it, as the directory that it belongs to is missing`},
		{"links", archives{{hard("a", 1, ""), hard("b", 1, "data")}}, "a=data* b=data*", ""},
		{"links, data first", archives{{hard("a", 1, "data"), hard("b", 1, "")}}, "a=data* b=data*", ""},
		{"numbers start over", archives{{hard("a", 1, "x"), hard("b", 1, "")}, {hard("c", 1, "y")}}, "a=x* b=x* c=y", ""},
		{"through links", archives{{hard("a", 1, "x"), hard("b", 1, "")}, {file("a", "new")}}, "a=new* b=new*",
			`segment 1: "a": the kernel writes through its hard links: 2 names get this content`},
		{"removed, not written through", archives{{hard("a", 1, "x"), hard("b", 1, "")}, {symlink("a", "t")}},
			"a->t b=x", ""},
		{"through a symlink", archives{{dir("usr"), dir("usr/lib"), symlink("lib", "usr/lib")}, {file("lib/f", "x")}},
			"lib->usr/lib usr/ usr/lib/ usr/lib/f=x", ""},
		{"through an absolute one", archives{{dir("a"), symlink("a/l", "/b/../b"), dir("b"), file("a/l/f", "x")}},
			"a/ a/l->/b/../b b/ b/f=x", ""},
		{"long name", archives{{file(strings.Repeat("n", 256), "x"), file("f", "y")}}, "f=y",
			`segment 0: "` + strings.Repeat("n", 200) + `": the kernel drops it, as its name has more than 255 bytes`},
		{"loop", archives{{symlink("l", "l"), file("l/f", "x")}}, "l->l",
			`segment 0: "l/f": the kernel drops it, as the directory that it belongs to is missing`},
		{"spellings", archives{{dir("./a"), file("/a//f", "x"), file("a/./g", "y")}}, "a/ a/f=x a/g=y", ""},
		{"link to what became a directory", archives{{hard("a", 1, "x"), dir("a"), hard("a/b", 1, "y"), file("c", "z")}}, "a/ c=z",
			`segment 0: "a/b": the kernel drops it, as "a", which it is a hard link of, is a directory now`},
		{"link to what became a symlink", archives{{hard("a", 1, "x"), symlink("a", "t"), hard("b", 1, "y")}}, "a->t b->t",
			`segment 0: "b": the kernel links it to "a", which is no file any more, and writes its content there`},
		{"device again", archives{{device("d", 3)}, {device("d", 5)}}, "d:3",
			`segment 1: "d": the kernel keeps the device number 1:3 of the earlier one`},
		{"device as a link", archives{{func() entry { e := device("a", 3); e.Links = 2; return e }(),
			func() entry { e := device("b", 3); e.Links = 2; return e }()}}, "a:3 b:3", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var data []byte
			for _, a := range c.archives {
				data = append(data, pack(t, a...)...)
			}
			r := open(t, data)
			if got := show(t, r); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := strings.Join(r.Info().Notes, "\n"); got != c.note {
				t.Errorf("notes: %s\nwant: %s", got, c.note)
			}
		})
	}
}

// TestRoot has a record for the root directory.
func TestRoot(t *testing.T) {
	root := dir(".")
	root.UID, root.ModTime = 5, 9
	r := open(t, pack(t, root, file("f", "x")))
	for e := range r.Walk(".") {
		if e.UID != 5 || e.ModTime != 9 || e.Links != 2 {
			t.Errorf("%+v", e)
		}
		break
	}
}

func TestErrors(t *testing.T) {
	one := pack(t, file("f", "content"))
	gz := filter(t, one, "gzip", "-n")
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"nothing", "there is no record in it", nil},
		{"zeros", "there is no record in it", make([]byte, 1024)},
		{"garbage behind", "segment 1 at byte 244: neither a cpio record nor compressed data: 676172626167",
			append(slices.Clone(one), "garbage"...)},
		{"cut off in the content", `record at byte 0: "f"`, one[:118]},
		{"cut off in a header", "unexpected EOF", one[:50]},
		{"misaligned", "records have to begin at a multiple of 4 bytes", append([]byte{0}, one...)},
		{"old format", "the kernel takes newc", []byte("070707" + strings.Repeat("0", 120))},
		{"lz4 frame", "the kernel reads the legacy format only", filter(t, one, "lz4", "-q")},
		{"behind lz4", "the kernel reads nothing else behind lz4 data", append(filter(t, one, "lz4", "-lq"), filter(t, one, "xz")...)},
		{"junk inside", "no cpio record begins there", filter(t, append(slices.Clone(one), 'x'), "gzip")},
		{"cut off gzip", "unexpected EOF", gz[:len(gz)-3]},
		{"cut off zstd", "unexpected EOF", func() []byte { z := filter(t, one, "zstd"); return z[:len(z)-5] }()},
		{"cut off xz", "no end of the stream", func() []byte { z := filter(t, one, "xz"); return z[:len(z)-4] }()},
		{"cut off bzip2", "unexpected EOF", func() []byte { z := filter(t, one, "bzip2"); return z[:len(z)-4] }()},
	} {
		r, err := Open(strings.NewReader(string(c.data)), int64(len(c.data)))
		if err == nil {
			err = r.Verify()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestDamage changes every byte of archives that have checksums: Verify tells, or nothing that is read changes.
func TestDamage(t *testing.T) {
	tree := []entry{dir("d"), file("d/f", strings.Repeat("some text ", 50)), symlink("l", "d/f"), device("n", 3)}
	raw := pack(t, tree...)
	for _, name := range []string{"gzip", "xz", "bzip2"} {
		data := filter(t, raw, tools[name]...)
		want := show(t, open(t, data))
		for i := range data {
			for _, mask := range []byte{0xff, 1, 0x80} {
				damaged := slices.Clone(data)
				damaged[i] ^= mask
				r, err := Open(strings.NewReader(string(damaged)), int64(len(damaged)))
				if err == nil {
					err = r.Verify()
				}
				if err == nil && show(t, r) != want {
					t.Errorf("%s: byte %d: %s", name, i, cmp.Diff(want, show(t, r)))
				}
			}
		}
	}
}

// TestChecksum changes a content of the format that has sums.
func TestChecksum(t *testing.T) {
	content := "content"
	data := []byte(strings.Replace(string(pack(t, file("f", content))), MagicNewc, MagicCRC, 1))
	copy(data[102:], "000002FB")
	sum := checksum(0)
	sum.Write([]byte(content))
	if sum != 0x2fb {
		t.Fatalf("%x", uint32(sum))
	}
	if err := open(t, data).Verify(); err != nil {
		t.Error(err)
	}
	data[strings.Index(string(data), content)]++
	err := open(t, data).Verify()
	want := `cpio: record at byte 0: "f": checksum 000002fb, the content has 000002fc`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func FuzzVerify(f *testing.F) {
	raw := pack(f, dir("d"), file("d/f", "text"), symlink("l", "d/f"), hard("h", 1, ""), hard("i", 1, "x"), device("n", 3))
	for _, tool := range tools {
		f.Add(filter(f, raw, tool...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r *Reader
		var err error
		fuzztest.Limit(t, 64<<20+2*maxWindow+maxRatio*len(data), func() {
			r, err = Open(strings.NewReader(string(data)), int64(len(data)))
		})
		if err != nil {
			return
		}
		r.Verify()
		for e, err := range r.Walk(".") {
			if err != nil || e.Path == "" {
				t.Error(e, err)
			}
		}
	})
}
