package ospkg

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
)

const statusFile = `Package: libc6
Status: install ok installed
Priority: optional
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9+deb12u7
Depends: libgcc-s1,
 libcrypt1
Description: GNU C Library: Shared libraries
 Version: 0

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: libstdc++6
Status: hold ok installed
Architecture: arm64
Source: gcc-12 (12.2.0-14)
Version: 1:12.2.0-14+b1
`

func TestReadDpkg(t *testing.T) {
	want := []Package{
		{Type: Deb, Name: "libc6", Version: "2.36-9+deb12u7", Arch: "amd64", Source: "glibc",
			Maintainer: "GNU Libc Maintainers <debian-glibc@lists.debian.org>"},
		{Type: Deb, Name: "libstdc++6", Version: "1:12.2.0-14+b1", Arch: "arm64", Source: "gcc-12", SourceVersion: "12.2.0-14"},
	}
	for name, text := range map[string]string{
		"as dpkg writes it": statusFile,
		"line ends of DOS":  strings.ReplaceAll(statusFile, "\n", "\r\n"),
		"no states":         strings.NewReplacer("Status: install ok installed\n", "", "Status: hold ok installed\n", "").Replace(statusFile),
	} {
		got, err := ReadDpkg(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// The machine's own packages are what dpkg-query says.
func TestReadDpkgOfTheMachine(t *testing.T) {
	imagetest.Need(t, "dpkg-query")
	f, err := os.Open("/var/lib/dpkg/status")
	if err != nil {
		t.Skip("dpkg-query is here and its database is not: ", err)
	}
	defer f.Close()
	packages, err := ReadDpkg(f)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, p := range packages {
		source, version := p.Source, p.SourceVersion
		if source == "" {
			source = p.Name
		}
		if version == "" {
			version = p.Version
		}
		got.WriteString(strings.Join([]string{"installed", p.Name, p.Version, p.Arch, p.Maintainer, source, version}, "\t") + "\n")
	}
	var want []string
	format := "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${Maintainer}\t${source:Package}\t${source:Version}\n"
	for _, line := range strings.Split(imagetest.Run(t, "dpkg-query", "-W", "-f", format), "\n") {
		if strings.HasPrefix(line, "installed\t") {
			want = append(want, line)
		}
	}
	imagetest.Compare(t, "the packages that dpkg-query tells", want, strings.Split(strings.TrimSpace(got.String()), "\n"))
}

const apkFile = `C:Q1aSMjGHhmPWMFwTKvUsNEm0oWJyI=
P:musl
V:1.2.5-r0
A:x86_64
S:407278
I:667648
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Natanael Copa <ncopa@alpinelinux.org>
t:1709150427
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1pw0RNyVvsZxJhzcPNhxZpzgHkpU=

P:ssl_client
V:1.36.1-r29
A:x86_64
L:GPL-2.0-only AND MIT
o:busybox
`

func TestReadApk(t *testing.T) {
	got, err := ReadApk(strings.NewReader(apkFile))
	if err != nil {
		t.Fatal(err)
	}
	want := []Package{
		{Type: Apk, Name: "musl", Version: "1.2.5-r0", Arch: "x86_64", License: "MIT", Source: "musl",
			Maintainer: "Natanael Copa <ncopa@alpinelinux.org>"},
		{Type: Apk, Name: "ssl_client", Version: "1.36.1-r29", Arch: "x86_64", License: "GPL-2.0-only AND MIT", Source: "busybox"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Package: a\nStatus: install ok installed\n\x00\x00\n", `line 3: "\x00\x00" is no field`},
		{"\n\nPackage: a\nArchitecture: all\n", `line 3: the package "a" has no version`},
		{"Package: a\nVersion: 1\n\nVersion: 1\n", "line 4: a package without a name"},
		{"Package: a\nVersion: 1\n\nPriority: optional\n", "line 4: a package without a name"},
		{"Package: a\nDescription: " + strings.Repeat("x", maxLine), "line 2: longer than 1048576 bytes"},
		{strings.Repeat("Package: a\nVersion: 1\n\n", maxPackages+1), "more than 300000 packages"},
	} {
		if _, err := ReadDpkg(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: error %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := ReadApk(strings.NewReader("P:musl\nA:x86_64\n")); err == nil || err.Error() != `line 1: the package "musl" has no version` {
		t.Errorf("apk: error %v", err)
	}
}

func TestReadRelease(t *testing.T) {
	got, err := ReadRelease(strings.NewReader("PRETTY_NAME=\"Debian \\\"12\\\"\"\nNAME='Debian GNU/Linux'\n# ID=x\nID=debian\nVERSION_ID=\"12\"\nrubbish\n"))
	want := Release{ID: "debian", Name: "Debian GNU/Linux", VersionID: "12", PrettyName: `Debian "12"`}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(statusFile))
	f.Add([]byte(apkFile))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range []func() ([]Package, error){
			func() ([]Package, error) { return ReadDpkg(bytes.NewReader(data)) },
			func() ([]Package, error) { return ReadApk(bytes.NewReader(data)) },
		} {
			packages, err := read()
			if err != nil {
				continue
			}
			for _, p := range packages {
				if p.Name == "" || p.Version == "" {
					t.Errorf("%+v", p)
				}
			}
		}
		_, _ = ReadRelease(bytes.NewReader(data))
	})
}
