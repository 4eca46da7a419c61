package modulefile

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateGolden = flag.Bool("update", false, "write the golden files")

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("b", 64)
)

const fork = "https://git.example.com/a/b"

func release(version string) Agent {
	return Agent{Name: "kestrel", Version: version, SHA256: map[string]string{"amd64": sumA, "arm64": sumB}}
}

// cases are edits of testdata/NAME.txt, whose results are in testdata/NAME.golden.
var cases = map[string]Agent{
	"add":         release("v0.7.3"), // nothing of the extension's is there
	"add_dev":     release("v0.7.3"), // Fledge has another name and is for development
	"add_tag":     release("v0.7.3"), // the extension is there, with use_repo
	"add_url":     {Name: "k2", URL: "https://example.com/k", SHA256: map[string]string{"amd64": sumA}},
	"comments":    release("v0.7.4"), // comments everywhere, formatted by nobody
	"one_arch":    {Name: "kestrel", Version: "v0.8.0", SHA256: map[string]string{"amd64": sumB}},
	"one_line":    release("v0.7.4"),
	"own":         release("v0.7.3"), // Fledge's own file
	"repository":  {Name: "kestrel", Version: "v1", Repository: fork, SHA256: map[string]string{"amd64": sumA}},
	"to_url":      {Name: "kestrel", URL: "https://example.com/{arch}/k", SHA256: release("").SHA256},
	"unpinned":    release("v0.7.3"), // version = "latest", as a user begins
	"use_repo":    release("v0.7.3"), // a use_repo with keywords, the tag without
	"variable":    release("v0.7.3"), // the name fledge is taken
	"without_eol": release("v0.7.3"),
}

func TestSet(t *testing.T) {
	for name, agent := range cases {
		t.Run(name, func(t *testing.T) {
			src := read(t, name+".txt")
			got, err := Set("MODULE.bazel", src, agent)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *updateGolden {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, name+".golden"); !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			again, err := Set("MODULE.bazel", got, agent)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("once more gives\n%s\n%v", again, err)
			}
			if name == "without_eol" {
				return // it has no line end to tell its kind by
			}
			got, err = Set("MODULE.bazel", crlf(src), agent)
			if want := crlf(read(t, name+".golden")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("with CRLF: got\n%q\nwant\n%q\n%v", got, want, err)
			}
		})
	}
}

func crlf(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")) }

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const extension = `bazel_dep(name = "fledge", version = "0.1.0")
fledge = use_extension("@fledge//fledge:extensions.bzl", "fledge")
`

func TestAgents(t *testing.T) {
	src := extension + `
fledge.image(name = "nginx", image = "nginx")
fledge.agent(version = "v1", sha256 = {"amd64": "x"}, assets = {"arm64": "y"})
fledge.agent(name = "b", url = "u", repository = "r")
other.agent(name = "c")
`
	got, err := Agents("MODULE.bazel", []byte(src))
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	want := Agent{Name: "kestrel", Version: "v1", SHA256: map[string]string{"amd64": "x"}}
	if !got[0].same(want) || !maps.Equal(got[0].Assets, map[string]string{"arm64": "y"}) {
		t.Errorf("%+v", got[0])
	}
	if !got[1].same(Agent{Name: "b", URL: "u", Repository: "r"}) {
		t.Errorf("%+v", got[1])
	}
}

func TestErrors(t *testing.T) {
	for src, want := range map[string]string{
		"module(":              "MODULE.bazel:2:1: syntax error",
		`module(name = "app")`: `has no bazel_dep(name = "fledge"`,
		`bazel_dep(name = "fledge")` + "\n" + `include("//:fledge.MODULE.bazel")`: "--module-file",
		extension + `fledge.agent(version = VERSION)`:                             "MODULE.bazel:3: version: only a string",
		extension + `fledge.agent(sha256 = SUMS)`:                                 "MODULE.bazel:3: sha256: only a dict",
		extension + `fledge.agent(sha256 = {"amd64": SUM})`:                       "MODULE.bazel:3: sha256: only a string",
		extension + `fledge.agent(sha256 = {"a": "", "a": ""})`:                   `two values for "a"`,
		extension + `fledge.agent("kestrel")`:                                     "takes arguments by name alone",
		extension + "fledge.agent()\nfledge.agent()":                              `:4: a second fledge.agent with the name`,
		extension + `fledge.agent(version = "v1", version = "v2")`:                `cannot edit the tag "kestrel"`,
		extension + `a = 1; fledge.agent(version = "v1")`:                         "does not begin its line",
		strings.Repeat("#", MaxSize+1):                                            "has more than 4194304 bytes",
	} {
		_, err := Set("MODULE.bazel", []byte(src), release("v9"))
		if err == nil {
			t.Errorf("%.200s: no error", src)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: %v, want %s", src, err, want)
		}
	}
}

func FuzzSet(f *testing.F) {
	for name := range cases {
		f.Add(read(f, name+".txt"))
	}
	f.Add([]byte(extension + "fledge.agent(sha256 = {}, url = '''a\\''')  # x\nuse_repo(fledge)"))
	f.Fuzz(func(t *testing.T, src []byte) {
		agent := release("v1.2.3")
		out, err := Set("MODULE.bazel", src, agent)
		if err != nil {
			return
		}
		again, err := Set("MODULE.bazel", out, agent)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("once more: %v\n%s\nfrom\n%s", err, again, out)
		}
	})
}
