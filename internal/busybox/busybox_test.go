package busybox

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestRealProgram compares with what the program says itself.
func TestRealProgram(t *testing.T) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skipf("needs busybox (apt install busybox-static): %v", err)
	}
	out, err := exec.Command(path, "--list-full").Output()
	if err != nil {
		t.Skipf("busybox --list-full: %v: it has no installer", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Applets(program)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(strings.Fields(string(out)), func(path string) bool { return path == Path })
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// fake is a program with a list of applets, and what may be their table of directories.
func fake(names []string, table ...byte) []byte {
	b := make([]byte, 64) // an ELF header without segments
	copy(b, "\x7fELF\x02\x01\x01")
	b = append(append(b, table...), "\xff\xffjunk"...)
	return append(append(b, strings.Join(names, "\x00")...), "\x00\x00 text"...)
}

var applets = []string{"[", "ash", "awk", "busybox", "cat", "chroot", "halt", "linuxrc", "ls"}

func TestApplets(t *testing.T) {
	inBin := []string{"bin/[", "bin/ash", "bin/awk", "bin/cat", "bin/chroot", "bin/halt", "bin/linuxrc", "bin/ls"}
	for name, c := range map[string]struct {
		program []byte
		want    []string
		err     string
	}{
		"table": {
			fake(append([]string{""}, applets...), 0x13, 0x13, 0x41, 0x02, 0x01),
			[]string{"usr/bin/[", "bin/ash", "usr/bin/awk", "bin/cat", "usr/sbin/chroot", "sbin/halt", "linuxrc", "bin/ls"}, "",
		},
		"no installer":        {fake(append([]string{""}, applets...)), inBin, ""},
		"a number too large":  {fake(append([]string{""}, applets...), 0x13, 0x53, 0x41, 0x02, 0x01), inBin, ""},
		"list after a string": {fake(append([]string{"bin: %s"}, applets...)), inBin, ""},
		"no list":             {fake([]string{"a", "c", "b"}), nil, "no list of applets"},
		"script":              {[]byte("#!/bin/sh\n"), nil, "not a Linux program"},
		"empty":               {nil, nil, "not a Linux program"},
	} {
		got, err := Applets(c.program)
		if c.err == "" && (err != nil || !slices.Equal(got, c.want)) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
	}
}

func FuzzApplets(f *testing.F) {
	f.Add(fake(applets, 0x13, 0x13, 0x41, 0x02, 0x01))
	f.Fuzz(func(t *testing.T, b []byte) {
		paths, err := Applets(b)
		for _, p := range paths {
			if err != nil || strings.Contains(p, "..") && strings.Contains(p, "/../") {
				t.Errorf("%q, %v", p, err)
			}
		}
	})
}
