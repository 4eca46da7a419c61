package mapping

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
)

func TestFileMode(t *testing.T) {
	for _, c := range []struct {
		dest       string
		executable bool
		want       uint16
	}{
		{"etc/motd", false, 0o644},
		{"srv/run.sh", false, 0o644},
		{"srv/run.sh", true, 0o755},
		{"bin/a", false, 0o755},
		{"sbin/a", false, 0o755},
		{"usr/bin/a", false, 0o755},
		{"usr/sbin/a", false, 0o755},
		{"usr/local/bin/sub/a", false, 0o755},
		{"usr/local/sbin/a", false, 0o755},
		{"opt/bin/a", false, 0o755},
		{"opt/sbin/a", false, 0o755},
		{"opt/app/bin/a", false, 0o644},
		{"bin", false, 0o644},
		{"binary/a", false, 0o644},
		{"lib/libc.so", false, 0o755},
		{"lib64/ld.so.2", false, 0o755},
		{"usr/lib/x/y/libz.so.1.2", false, 0o755},
		{"usr/lib64/libz.so", false, 0o755},
		{"usr/local/lib/libz.so", false, 0o755},
		{"usr/local/lib64/libz.so", false, 0o755},
		{"usr/lib/x.so.d/readme", false, 0o644},
		{"usr/lib/libz.a", false, 0o644},
		{"usr/lib/libz.sofa", false, 0o644},
		{"srv/libz.so", false, 0o644},
		{"usr/libexec/a", false, 0o644},
	} {
		if got := FileMode(c.dest, c.executable); got != c.want {
			t.Errorf("%s, executable %v: %04o, want %04o", c.dest, c.executable, got, c.want)
		}
	}
}

func TestReadSpec(t *testing.T) {
	got, err := ReadSpec(strings.NewReader(`{"src":"a","dest":"/x/","executable":false,"mode":"0600"}

{"src":"b","dest":"/"}
{"path":"/y/z","mode":"4755"}
`))
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := &Spec{
		Mappings: []Mapping{{Src: "a", Dest: "x", Executable: &no}, {Src: "b", Dest: "."}},
		Modes:    map[string]uint16{"x": 0o600, "y/z": 0o4755},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		`{"src":"a","dest":"etc/x"}`:            `line 1: a: destination "etc/x": give an absolute path`,
		`{"src":"a","dest":"/etc/../x"}`:        `destination "/etc/../x": give a path without empty, '.' or '..'`,
		`{"src":"a","dest":"/.."}`:              "without empty",
		`{"src":"a","dest":"//x"}`:              "without empty",
		`{"src":"a","dest":"/x/./y"}`:           "without empty",
		`{"src":"a","dest":"/x/.wh.y"}`:         "stand for removed files",
		`{"src":"a"}`:                           `give "src" and "dest", or "path" and "mode"`,
		`{"dest":"/a"}`:                         `give "src"`,
		`{"path":"/a"}`:                         `give "src"`,
		`{"path":"/a","src":"x","mode":"0644"}`: `give "src"`,
		`{"path":"/a","src":"x","dest":"/x"}`:   `give "src"`,
		`{"path":"a","mode":"0644"}`:            `mode of "a": give an absolute path`,
		`{"path":"/a","mode":"0o644"}`:          `mode of /a: "0o644" is not octal`,
		`{"path":"/a","mode":"10000"}`:          "not octal",
		`{"path":"/a","mode":"-1"}`:             "not octal",
		`{"source":"a","dest":"/x"}`:            `unknown field "source"`,
		`{"src":"a","dest":"/x"} {}`:            "more than one object",
		`[]`:                                    "line 1: json",
		"\n\n{":                                 "line 3: unexpected EOF",
		"{\"path\":\"/a\",\"mode\":\"1\"}\n{\"path\":\"/a\",\"mode\":\"2\"}": "line 2: mode of /a: both 0001 and 0002",
	} {
		_, err := ReadSpec(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// folder makes files with their names as content; a name that ends with a slash is a folder, "a -> b" a symlink, and a
// leading star makes it executable.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		bare, executable := strings.CutPrefix(name, "*")
		path, target, link := strings.Cut(bare, " -> ")
		path = filepath.Join(dir, path)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case strings.HasSuffix(name, "/"):
			err = errors.Join(err, os.Mkdir(path, 0o700))
		case link:
			err = errors.Join(err, os.Symlink(target, path))
		case executable:
			err = errors.Join(err, os.WriteFile(path, []byte(bare), 0o700))
		default:
			err = errors.Join(err, os.WriteFile(path, []byte(bare), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pack packs what text says, with DIR standing for dir, and lists the entries.
func pack(t *testing.T, dir, text string) ([]string, error) {
	t.Helper()
	spec, err := ReadSpec(strings.NewReader(strings.ReplaceAll(text, "DIR", dir)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "x.pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := layerpack.Options{Codec: codec.Spec{Name: "none"}, BlockSize: codec.MinBlockSize, Jobs: 1}
	b, err := layerpack.NewBuilder(f, o)
	if err != nil {
		t.Fatal(err)
	}
	failed := spec.Pack(context.Background(), b)
	if _, err := b.Close(); failed != nil || err != nil {
		return nil, errors.Join(failed, err)
	}
	return list(t, f.Name()), nil
}

func list(t *testing.T, path string) []string {
	t.Helper()
	r, err := layerpack.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	for e, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if e.UID != 0 || e.GID != 0 || e.ModTime != 0 || e.Xattrs != nil {
			t.Errorf("%+v", e)
		}
		line := fmt.Sprintf("%04o %s", e.Mode, e.Path)
		if e.Type == fstree.Directory {
			line += "/"
		}
		got = append(got, line)
	}
	return got
}

func TestPack(t *testing.T) {
	dir := folder(t, "b", "*a", "sub/x", "site/index.html", "site/css/a.css", "site/empty/", "site/link -> ../b",
		"site/run", "site/also -> css", "none/")
	for _, c := range []struct {
		name, spec string
		want       []string
	}{
		{"sorted, x bits of the file", `{"src":"DIR/b","dest":"/z"}
			{"src":"DIR/a","dest":"/etc/a"}`, []string{"0755 etc/a", "0644 z"}},
		{"the rule knows better", `{"src":"DIR/b","dest":"/z","executable":true}
			{"src":"DIR/a","dest":"/etc/a","executable":false}`, []string{"0644 etc/a", "0755 z"}},
		{"a mode wins", `{"src":"DIR/a","dest":"/bin/a","mode":"0600"}
			{"src":"DIR/b","dest":"/bin/b"}
			{"path":"/bin/b","mode":"4711"}`, []string{"0600 bin/a", "4711 bin/b"}},
		{"folder", `{"src":"DIR/site","dest":"/srv/www"}`, []string{"0644 srv/www/also/a.css", "0644 srv/www/css/a.css",
			"0755 srv/www/empty/", "0644 srv/www/index.html", "0644 srv/www/link", "0644 srv/www/run"}},
		{"folder with modes", `{"src":"DIR/site","dest":"/srv/www","mode":"0711"}
			{"path":"/srv/www/css","mode":"0700"}
			{"path":"/srv/www/index.html","mode":"0444"}`, []string{"0711 srv/www/", "0644 srv/www/also/a.css",
			"0700 srv/www/css/", "0644 srv/www/css/a.css", "0755 srv/www/empty/", "0444 srv/www/index.html",
			"0644 srv/www/link", "0644 srv/www/run"}},
		{"folders over each other", `{"src":"DIR/sub","dest":"/"}
			{"src":"DIR/none","dest":"/"}
			{"src":"DIR/none","dest":"/new"}`, []string{"0755 new/", "0644 x"}},
		{"nothing", ``, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pack(t, dir, c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPackErrors(t *testing.T) {
	dir := folder(t, "a", "b", "d/x", "loop/in/back -> ..", "loop/f", "dangling -> nowhere", "wh/.wh.x")
	two := func(args ...any) string {
		return fmt.Sprintf("{\"src\":\"DIR/%s\",\"dest\":%q}\n{\"src\":\"DIR/%s\",\"dest\":%q}", args...)
	}
	for _, c := range []struct{ spec, want string }{
		{`{"src":"DIR/missing","dest":"/x"}`, "missing: no such file"},
		{`{"src":"DIR/dangling","dest":"/x"}`, "dangling: no such file"},
		{`{"src":"DIR/a","dest":"/"}`, "a: a file cannot be the root"},
		{`{"src":"/dev/null","dest":"/x"}`, "/dev/null: is neither a file nor a folder"},
		{`{"src":"DIR/loop","dest":"/x"}`, "loop/in/back: the symlink leads back"},
		{`{"src":"DIR/wh","dest":"/x"}`, ".wh.x: names with .wh. stand for removed files"},
		{two("a", "/x", "b", "/x"), "a and DIR/b both go to /x"},
		{two("d", "/x", "b", "/x"), "d and DIR/b both go to /x"},
		{two("d", "/y", "b", "/y/x"), "d/x and DIR/b both go to /y/x"},
		{two("a", "/x", "b", "/x/y/z"), "DIR/b goes to /x/y/z, which is below the file /x (DIR/a)"},
		{`{"path":"/y","mode":"0600"}`, "mode of /y: none of the mappings makes that path"},
	} {
		_, err := pack(t, dir, c.spec)
		if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", c.spec, err, want)
		}
	}
}
