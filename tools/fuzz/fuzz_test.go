package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRun runs both targets of a module, one that holds and one that does not, with the real go command: a failure does not keep the others from running, is
// told, and leaves its input. Then the corpus of the one that holds is kept.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs fuzz targets: run it without -short")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/module")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "")
	var out strings.Builder
	err := run(t.Context(), []string{"."}, []string{"-time", "2s", "Bad", "."}, &out)
	if !errors.Is(err, errFailed) {
		t.Errorf("%v, want %v", err, errFailed)
	}
	for _, want := range []string{
		`(?m)^example.com/m.FuzzBad: FAILED$`, `(?m)^\s*m_test.go:14: not empty$`,
		`(?m)^example.com/m.FuzzBad +\d+s +\d+ +\d+ +FAILED: exit status 1$`, `(?m)^example.com/m.FuzzGood +\d+s +[1-9]\d* +\d+ +ok$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	if left, err := os.ReadDir("testdata/fuzz/FuzzBad"); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	keep(t)
}

// keep has an input of the cache kept that covers more, and another that does not left out.
func keep(t *testing.T) {
	t.Helper()
	good := target{".", ".", "example.com/m", "FuzzGood"}
	cache, err := good.cached(t.Context())
	if err == nil {
		err = os.RemoveAll(cache) // what the run found
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(filepath.Dir(cache))) })
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"a": "FUZZ", "b": "FUZ", "c": "none", "d": "FxZ"} {
		text := "go test fuzz v1\n[]byte(\"" + value + "\")\n"
		if err := os.WriteFile(filepath.Join(cache, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"."}, []string{"-time", "0", "-keep", "Good"}, &out); err != nil {
		t.Fatal(err)
	}
	var names []string
	kept, err := os.ReadDir("testdata/fuzz/FuzzGood")
	for _, e := range kept {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, []string{"b", "d"}) {
		t.Errorf("kept %q, %v\n%s", names, err, &out)
	}
}

// TestSpurious: the message of go test that is no failure, as go 1.26.8 wrote it, and others that are.
func TestSpurious(t *testing.T) {
	const raced = "--- FAIL: FuzzKernelArch (10.05s)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\tm\t10.052s"
	for text, want := range map[string]bool{
		raced: true,
		"--- FAIL: FuzzX (1.49s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:1: context deadline exceeded\n" +
			"    Failing input written to testdata/fuzz/FuzzX/1\nFAIL": false,
		"--- FAIL: FuzzX (10.05s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\nFAIL": false,
	} {
		if got := spurious(strings.Split(text, "\n")); got != want {
			t.Errorf("%s\n%t", text, got)
		}
	}
}

// TestDocs: docs/hardening.md has every target, and none that is not there.
func TestDocs(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	const root = "../.."
	all, err := find(t.Context(), root, filepath.Join(root, "tools/guest"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range all {
		path := strings.TrimPrefix(e.path, "github.com/fledge-build/fledge/")
		want = append(want, strings.TrimPrefix(path, "internal/")+"."+e.name)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/hardening.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := regexp.MustCompile("`([a-z0-9/]+\\.Fuzz\\w+)`").FindAllStringSubmatch(string(text), -1)
	var got []string
	for _, m := range told {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("docs/hardening.md does not have %s", name)
		}
	}
	for i, name := range got {
		if !slices.Contains(want, name) || i > 0 && got[i-1] == name {
			t.Errorf("docs/hardening.md has %s, which is no target, or twice", name)
		}
	}
}
