package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// TestInspectFileSystem shows what a superblock says, and that nothing more is known.
func TestInspectFileSystem(t *testing.T) {
	imagetest.Need(t, "mke2fs")
	name := filepath.Join(t.TempDir(), "app.img")
	if err := os.WriteFile(name, make([]byte, 8<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	imagetest.Run(t, "mke2fs", "-q", "-t", "ext4", "-b", "1024", "-N", "64", "-L", "a\nb", "-U", "01234567-89ab-cdef-0123-456789abcdef", name)
	writeManifest(t, filepath.Join(filepath.Dir(name), "app.manifest.json"), "app.img", digestOf(t, name))
	out, _, err := fledge(t, "inspect", name, "--verify")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"kind        ext4\n", "uuid        01234567-89ab-cdef-0123-456789abcdef\n", `label       a\012b` + "\n",
		"blocks      8192 of 1024 bytes, 8.4 MB\n", "free        ", "inodes      64, 53 of them free\n",
		"verified    the superblock agrees, and the file has the digest of the manifest; e2fsck -fn checks the rest\n",
		"contents    its files are not listed: fledge reads the superblock of ext4 alone; debugfs -R 'ls -l /' shows them\n",
		"which has this image's digest",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	var form struct {
		Kind       string
		FileSystem struct {
			UUID       string
			Inodes     int
			FreeInodes int `json:"free_inodes"`
		}
		Entries []any
	}
	out, _, err = fledge(t, "inspect", name, "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &form); err != nil {
		t.Fatal(err)
	}
	if form.Kind != "ext4" || form.FileSystem.Inodes != 64 || form.FileSystem.FreeInodes != 53 || form.Entries != nil {
		t.Errorf("%+v", form)
	}
	for _, args := range [][]string{
		{"inspect", name, "--format", "tree"}, {"inspect", name, "--format", "mtree"}, {"inspect", name, "--path", "etc"}, {"diff", name, name},
	} {
		if _, _, err := fledge(t, args...); err == nil || !strings.Contains(err.Error(), "its files are not listed: fledge reads the superblock") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
