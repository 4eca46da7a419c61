package main

import (
	"archive/zip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/cli"
)

// fakeGo is a go command that writes what it was called with, its environment and the files it sees in place of a
// program.
const fakeGo = `#!/bin/sh
set -eu
while [ "$1" != -o ]; do printf '%s\n' "$1"; shift; done >../args
out=$2 package=$3
{
  cat ../args
  printf '%s\n' "$package"
  /usr/bin/env | /usr/bin/sort | /usr/bin/sed "s|$(dirname "$GOROOT")|WORK|g"
  /usr/bin/find . -type f | /usr/bin/sort
} >"$out"
`

// failingGo is one that finds an error in the sources.
const failingGo = "#!/bin/sh\necho 'main.go:1:1: expected package' >&2\nexit 1\n"

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func writeZip(t *testing.T, path string, files map[string]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, content := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// workspace makes the inputs of a build with the given go command and goes there. It returns the command line.
func workspace(t *testing.T, goCommand string) []string {
	t.Helper()
	t.Chdir(t.TempDir())
	writeZip(t, "sdk.zip", map[string]string{
		"golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/bin/go":             goCommand,
		"golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/src/_go.mod":        "module std\n",
		"golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/src/os/os.go":       "package os\n",
		"golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/src/os/os_test.go":  "package os\n",
		"golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/src/cmd/go/main.go": "package main\n",
		"golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/test/bug.go":        "package bug\n",
	})
	files := map[string]string{
		"repo/go.mod":                                "module example.com/parent\n",
		"repo/wire/wire.go":                          "package wire\n",
		"repo/tools/guest/go.mod":                    "module example.com/parent/tools/guest\n",
		"repo/tools/guest/main.go":                   "package main\n",
		"repo/tools/guest/internal/x/x.go":           "package x\n",
		"external/deps/vendor/modules.txt":           "# example.com/a v1.0.0\n",
		"external/deps/vendor/example.com/a/a.go":    "package a\n",
		"external/deps/vendor/example.com/a/LICENSE": "free\n",
	}
	writeFiles(t, ".", files)
	// A sandbox has links.
	if err := os.Rename("repo/tools/guest/main.go", "main.go"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../main.go", "repo/tools/guest/main.go"); err != nil {
		t.Fatal(err)
	}
	delete(files, "repo/go.mod")
	list := ""
	for name := range files {
		list += name + "\n"
	}
	writeFiles(t, ".", map[string]string{"files": list})
	return []string{
		"--sdk=sdk.zip", "--go-mod=repo/tools/guest/go.mod", "--modules=external/deps/vendor/modules.txt", "--files=files",
		"--parent-go-mod=repo/go.mod", "--os=darwin", "--arch=arm64", "--jobs=3", "--out=program",
	}
}

func TestBuild(t *testing.T) {
	args := workspace(t, fakeGo)
	t.Setenv("GOFLAGS", "-race")
	t.Setenv("GOAMD64", "v3")
	if err := run(context.Background(), args); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("program")
	if err != nil {
		t.Fatal(err)
	}
	want := `build
-trimpath
-buildvcs=false
-p=3
-mod=vendor
-ldflags=-s -w -buildid=
.
CGO_ENABLED=0
GO111MODULE=on
GOAMD64=v1
GOARCH=arm64
GOARM64=v8.0
GOCACHE=WORK/cache
GODEBUG=goindex=0
GOENV=off
GOOS=darwin
GOPATH=WORK/path
GOPROXY=off
GOROOT=WORK/sdk
GOTOOLCHAIN=local
GOWORK=off
HOME=WORK/home
PWD=WORK/module
TMPDIR=WORK/home
./go.mod
./internal/x/x.go
./main.go
./vendor/example.com/a/LICENSE
./vendor/example.com/a/a.go
./vendor/example.com/parent/wire/wire.go
./vendor/modules.txt
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	wantNoRest(t)
}

// wantNoRest fails when a build's folder is still there.
func wantNoRest(t *testing.T) {
	t.Helper()
	if rest, _ := filepath.Glob(".*.fledge-*"); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}

func TestBuildErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, args []string) []string
		want   string
	}{
		{"go fails", func(_ *testing.T, args []string) []string {
			return args
		}, "go build . in the module of repo/tools/guest/go.mod: exit status 1"},
		{"no SDK", func(_ *testing.T, args []string) []string {
			return append(args, "--sdk=none.zip")
		}, "none.zip: open none.zip: no such file"},
		{"other zip", func(t *testing.T, args []string) []string {
			writeZip(t, "other.zip", map[string]string{"a@v1/../../b": ""})
			return append(args, "--sdk=other.zip")
		}, `other.zip: entry "a@v1/../../b": its name is not MODULE@VERSION/FILE`},
		{"foreign file", func(t *testing.T, args []string) []string {
			writeFiles(t, ".", map[string]string{"list": "elsewhere/x.go\n", "elsewhere/x.go": ""})
			return append(args, "--files=list")
		}, "elsewhere/x.go is neither in the module's folder nor in the parent's nor a vendored file"},
		{"two files of one name", func(t *testing.T, args []string) []string {
			writeFiles(t, ".", map[string]string{
				"list":                      "repo/tools/guest/vendor/a\nexternal/deps/vendor/a\n",
				"repo/tools/guest/vendor/a": "",
			})
			return append(args, "--files=list")
		}, "would both be vendor/a in the module"},
		{"no module", func(t *testing.T, args []string) []string {
			writeFiles(t, ".", map[string]string{"repo/go.mod": "go 1.26\n"})
			return args
		}, "repo/go.mod has no line 'module PATH'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := tt.change(t, workspace(t, failingGo))
			err := run(context.Background(), args)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if _, err := os.Stat("program"); err == nil {
				t.Error("there is an output")
			}
			wantNoRest(t)
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"--sdk=a"}, {"--make-std", "--sdk=a", "--os=linux", "--arch=amd64"}, {"--unknown"}, {"--jobs=many"}} {
		if err := run(context.Background(), args); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: got %v, want a usage error", args, err)
		}
	}
}
