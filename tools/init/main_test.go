//go:build linux

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestIsQuiet(t *testing.T) {
	for cmdline, want := range map[string]bool{
		"": false, "quiet\n": true, "console=ttyS0 quiet panic=-1\n": true, "quieter\n": false, "init=quiet": false,
	} {
		if got := isQuiet(cmdline); got != want {
			t.Errorf("isQuiet(%q) = %v", cmdline, got)
		}
	}
}

func TestFail(t *testing.T) {
	for _, tt := range []struct {
		why        error
		hint, want string
	}{
		{syscall.ENODEV, "do this", "what: no such device; do this"},
		{syscall.ENODEV, "", "what: no such device"},
		{nil, "do this", "what; do this"},
	} {
		if got := fail("what", tt.why, tt.hint).Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestLoadModulesNamesTheFile(t *testing.T) {
	err := loadModules([]string{"none.ko"})
	want := "open /fledge/modules/none.ko: no such file or directory; the initramfs is damaged, build it anew"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestDeleteTree(t *testing.T) {
	root := t.TempDir()
	outside := filepath.Join(t.TempDir(), "stays")
	for _, dir := range []string{"a/b/c", "d"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{outside, filepath.Join(root, "a/b/f"), filepath.Join(root, "g")} {
		if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(root, "d/link")); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(root, &st); err != nil {
		t.Fatal(err)
	}
	deleteTree(root, st.Dev+1)
	if left, _ := os.ReadDir(root); len(left) != 3 {
		t.Errorf("%d entries left, want all 3: they are on another file system", len(left))
	}
	deleteTree(root, st.Dev)
	if left, _ := os.ReadDir(root); len(left) != 0 {
		t.Errorf("entries left: %v", left)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("the target of a symlink is gone: %v", err)
	}
}
