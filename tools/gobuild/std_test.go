package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	action = "ab/" + strings.Repeat("ab", 32) + "-a"
	data   = "cd/" + strings.Repeat("cd", 32) + "-d"
)

// entry is what the go command knows of an action, noted at a time.
func entry(nanoseconds int) string {
	return fmt.Sprintf("v1 %s %s %20d %20d\n", strings.Repeat("ab", 32), strings.Repeat("cd", 32), 4, nanoseconds)
}

// cachingGo is a go command that fills its cache as if it compiled.
func cachingGo(nanoseconds int) string {
	return fmt.Sprintf(`#!/bin/sh
set -eu
/usr/bin/mkdir -p "$GOCACHE/ab" "$GOCACHE/cd"
echo '%s' >"$GOCACHE/%s"
printf code >"$GOCACHE/%s"
echo "$GOCACHE" >"$GOCACHE/trim.txt"
`, strings.TrimSuffix(entry(nanoseconds), "\n"), action, data)
}

// TestStd compiles the standard library at two times: the zip is the same, and becomes the cache of a program's build.
func TestStd(t *testing.T) {
	var zips [][]byte
	for _, time := range []int{1700000000000000000, 1800000000000000001} {
		workspace(t, cachingGo(time))
		if err := run(context.Background(), []string{"--make-std", "--sdk=sdk.zip", "--os=linux", "--arch=arm64", "--out=std.zip"}); err != nil {
			t.Fatal(err)
		}
		wantNoRest(t)
		made, err := os.ReadFile("std.zip")
		if err != nil {
			t.Fatal(err)
		}
		zips = append(zips, made)
	}
	if diff := cmp.Diff(zips[0], zips[1]); diff != "" {
		t.Errorf("the zip has the time in it:\n%s", diff)
	}

	args := workspace(t, "#!/bin/sh\nset -eu\nwhile [ \"$1\" != -o ]; do shift; done\ncd \"$GOCACHE\"\ncat */* >\"$2\"\n")
	if err := os.WriteFile("std.zip", zips[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), append(args, "--std=std.zip")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("program")
	if want := entry(1) + "code"; err != nil || string(got) != want {
		t.Errorf("the program's build began with %q, want %q (%v)", got, want, err)
	}
}

func TestStdErrors(t *testing.T) {
	for name, want := range map[string]string{
		"trim.txt":       `std.zip: entry "trim.txt": it is no file of the go command's cache`,
		"../" + action:   `it is no file of the go command's cache`,
		action + "/x":    `it is no file of the go command's cache`,
		"AB/" + data[3:]: `it is no file of the go command's cache`,
	} {
		args := workspace(t, fakeGo)
		writeZip(t, "std.zip", map[string]string{name: ""})
		if err := run(context.Background(), append(args, "--std=std.zip")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, want)
		}
	}
}
