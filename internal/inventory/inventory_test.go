package inventory

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
)

func status(packages ...string) string {
	var text strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		fmt.Fprintf(&text, "Package: %s\nStatus: install ok installed\nVersion: %s\n\n", name, version)
	}
	return text.String()
}

func symlink(name, target string) imagetest.File {
	return imagetest.File{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}}
}

// write makes a file in the test's folder.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// layers makes a part of each layer.
func layers(t *testing.T, stack ...[]imagetest.File) (parts []Part) {
	t.Helper()
	for i, files := range stack {
		path := write(t, "layer.tar", imagetest.Tar(t, files...))
		parts = append(parts, Part{Kind: KindLayer, Src: path, Label: fmt.Sprintf("//:%d", i)})
	}
	return parts
}

// describe is a line for each thing of an inventory.
func describe(inv *Inventory) (lines []string) {
	if inv.Release.ID != "" {
		lines = append(lines, "os "+inv.Release.ID+" "+inv.Release.VersionID)
	}
	for _, p := range inv.Packages {
		lines = append(lines, fmt.Sprintf("%s %s %s, layer %d, %s", p.Type, p.Name, p.Version, p.Layer, p.Database))
	}
	for _, f := range inv.Files {
		lines = append(lines, fmt.Sprintf("%s %s %s %d %.8s", f.Kind, f.Label, f.Path, f.Size, f.SHA256))
	}
	return lines
}

func take(t *testing.T, parts []Part) []string {
	t.Helper()
	inv, err := Take(context.Background(), parts)
	if err != nil {
		t.Fatal(err)
	}
	return describe(inv)
}

func compare(t *testing.T, parts []Part, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, take(t, parts)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A package is of the layer that brought it in the version that it has; what a later layer hides does not count.
func TestLayers(t *testing.T) {
	const db = "var/lib/dpkg/status"
	parts := layers(t,
		[]imagetest.File{imagetest.Regular(db, status("a 1", "b 1", "c 1")), imagetest.Regular("etc/os-release", "ID=old\n")},
		[]imagetest.File{imagetest.Regular(db, status("a 1", "b 2", "d 1"))},
		[]imagetest.File{imagetest.Regular("etc/os-release", "ID=new\nVERSION_ID=3\n")},
		[]imagetest.File{imagetest.Regular(db, status("a 1", "b 2", "c 1", "e 1"))},
	)
	compare(t, parts, "os new 3",
		"deb a 1, layer 0, /var/lib/dpkg/status", "deb b 2, layer 1, /var/lib/dpkg/status",
		"deb c 1, layer 3, /var/lib/dpkg/status", "deb e 1, layer 3, /var/lib/dpkg/status")
	gone := layers(t, []imagetest.File{imagetest.Regular("var/lib/dpkg/.wh.status", "")})
	compare(t, append(parts, gone...), "os new 3")
}

// Databases lie where the distributions have them, behind symlinks too.
func TestPlaces(t *testing.T) {
	apk := "P:musl\nV:1.2\n\n"
	rpm, err := os.ReadFile("../ospkg/testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		files []imagetest.File
		want  []string
	}{
		{"distroless", []imagetest.File{
			imagetest.Regular("var/lib/dpkg/status.d/tzdata", status("tzdata 2024")),
			imagetest.Regular("var/lib/dpkg/status.d/base", status("base 1")),
			imagetest.Regular("var/lib/dpkg/status.d/base.md5sums", "d41d8cd98f00b204e9800998ecf8427e  etc/x\n"),
		}, []string{"deb base 1, layer 0, /var/lib/dpkg/status.d/base", "deb tzdata 2024, layer 0, /var/lib/dpkg/status.d/tzdata"}},
		{"apk", []imagetest.File{imagetest.Regular("lib/apk/db/installed", apk)},
			[]string{"apk musl 1.2, layer 0, /lib/apk/db/installed"}},
		{"apk with merged usr", []imagetest.File{symlink("lib", "usr/lib"), imagetest.Regular("usr/lib/apk/db/installed", apk)},
			[]string{"apk musl 1.2, layer 0, /usr/lib/apk/db/installed"}},
		{"rpm in two places", []imagetest.File{symlink("var/lib/rpm", "../../usr/lib/sysimage/rpm"),
			imagetest.Regular("usr/lib/sysimage/rpm/rpmdb.sqlite", string(rpm)),
			imagetest.Regular("usr/lib/sysimage/rpm/Packages", "of an older rpm")},
			[]string{"rpm bash 5.1-2.fc35, layer 0, /usr/lib/sysimage/rpm/rpmdb.sqlite",
				"rpm big 1-1, layer 0, /usr/lib/sysimage/rpm/rpmdb.sqlite"}},
		{"os-release behind a symlink", []imagetest.File{symlink("etc/os-release", "../usr/lib/os-release"),
			imagetest.Regular("usr/lib/os-release", "ID=debian\n")}, []string{"os debian "}},
		{"nothing", []imagetest.File{imagetest.Regular("etc/motd", "hello")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { compare(t, layers(t, c.files), c.want...) })
	}
}

// What parts add is listed where the guest finds it, unless a later part replaces it.
func TestFiles(t *testing.T) {
	one, two := write(t, "one", []byte("one")), write(t, "two", []byte("two"))
	folder := filepath.Dir(write(t, "in", []byte("in")))
	parts := append(layers(t, []imagetest.File{symlink("srv", "var/srv"), imagetest.Regular("bin/busybox", "the image's own")}),
		Part{Kind: KindBusybox, Src: one, Label: "//:busybox", Dest: "/bin/busybox"},
		Part{Kind: KindInit, Src: one, Label: "//:init"},
		Part{Kind: KindAgent, Src: one, Label: "//:agent", Dest: "/bin/kestrel"},
		Part{Kind: KindMapping, Src: one, Label: "//:replaced", Dest: "/etc/file"},
		Part{Kind: KindMapping, Src: two, Label: "//:file", Dest: "/etc/file"},
		Part{Kind: KindMapping, Src: folder, Label: "//:folder", Dest: "/srv/"},
		Part{Kind: KindMaterial, Src: filepath.Join(folder, "is not read"), Label: "//:kernel"},
	)
	compare(t, parts,
		"agent //:agent /bin/kestrel 3 7692c3ad", "mapping //:file /etc/file 3 3fc4ccfe",
		"mapping //:folder /var/srv/in 2 58296753", "init //:init  3 7692c3ad")
}

// Only a Go program is one, and one in a layer that is hidden is none.
func TestPrograms(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	parts := layers(t,
		[]imagetest.File{imagetest.Regular("bin/hidden", string(program)), imagetest.Regular("bin/app", string(program)),
			imagetest.Regular("bin/cut", string(program[:5000])), imagetest.Regular("bin/tiny", "\x7fEL")},
		[]imagetest.File{imagetest.Regular("bin/hidden", "\x7fELF of no kind")},
	)
	inv, err := Take(context.Background(), append(parts, Part{Kind: KindMapping, Src: self, Label: "//:self", Dest: "/self"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Programs) != 1 || inv.Programs[0].Path != "/bin/app" || inv.Programs[0].Layer != 0 ||
		!strings.HasPrefix(inv.Programs[0].Info.GoVersion, "go") {
		t.Errorf("programs: %+v", inv.Programs)
	}
	if len(inv.Files) != 1 || inv.Files[0].Info == nil {
		t.Errorf("files: %+v", inv.Files)
	}
}

func TestTakeErrors(t *testing.T) {
	damaged := layers(t, []imagetest.File{imagetest.Regular("etc/x", "x")},
		[]imagetest.File{imagetest.Regular("var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion")})
	odd := layers(t, []imagetest.File{symlink("var/lib/dpkg/status", "/etc/x"), imagetest.Regular("etc/x", "x")})
	wrong := layers(t, []imagetest.File{imagetest.Regular("etc/x", "x")})
	wrong[0].Digest = "sha256:" + strings.Repeat("0", 64)
	cut := []Part{{Kind: KindLayer, Src: write(t, "cut.tar", imagetest.Tar(t, imagetest.Regular("etc/x", "x"))[:700])}}
	for name, c := range map[string]struct {
		parts []Part
		want  string
	}{
		"damaged database":   {damaged, `layer //:1: /var/lib/dpkg/status: line 3: "Version" is no field`},
		"odd name":           {odd, "/var/lib/dpkg/status leads to /etc/x, whose name is none of a package database"},
		"wrong digest":       {wrong, "the file is damaged or another one"},
		"cut off":            {cut, "the tar archive is cut off"},
		"missing layer":      {[]Part{{Kind: KindLayer, Src: "/missing/layer"}}, "/missing/layer"},
		"missing layout":     {[]Part{{Kind: KindLayout, Src: "/missing/layout"}}, "/missing/layout"},
		"missing file":       {[]Part{{Kind: KindAgent, Src: "/missing/agent", Dest: "/a"}}, "/missing/agent"},
		"missing init":       {[]Part{{Kind: KindInit, Src: "/missing/init"}}, "/missing/init"},
		"a file is the root": {[]Part{{Kind: KindMapping, Src: wrong[0].Src, Dest: "/"}}, "a file cannot be the root"},
	} {
		if _, err := Take(context.Background(), c.parts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Take(canceled, layers(t, []imagetest.File{imagetest.Regular("etc/x", "x")})); err == nil {
		t.Error("a canceled run succeeds")
	}
}

func TestReadParts(t *testing.T) {
	got, err := ReadParts(strings.NewReader(`{"kind":"layer","src":"a","label":"//:a","digest":"sha256:1","media_type":"m"}

{"kind":"mapping","src":"b","dest":"/b"}
`))
	want := []Part{{Kind: KindLayer, Src: "a", Label: "//:a", Digest: "sha256:1", MediaType: "m"}, {Kind: KindMapping, Src: "b", Dest: "/b"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	for text, want := range map[string]string{
		`{`:                            "line 1: unexpected EOF",
		"\n{\"kind\":\"layer\"}":       `line 2: give "src"`,
		`{"kind":"x","src":"a"}`:       `kind "x": give one of these kinds`,
		`{"kind":"init","sources":""}`: `unknown field "sources"`,
		`{"kind":"agent","src":"a","dest":"bin/a"}`: `dest "bin/a": give an absolute path`,
		`{"kind":"layer","src":"a"} {}`:             "more than one object",
	} {
		if _, err := ReadParts(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
