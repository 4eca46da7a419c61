package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/verity"
)

// verityImage makes an EROFS image with a hash tree, with the parameters beside it.
func verityImage(t *testing.T) (name string, p verity.Params) {
	t.Helper()
	imagetest.Need(t, "mkfs.erofs")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte("0123456789"), 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(t.TempDir(), "app.img")
	imagetest.Run(t, "mkfs.erofs", name, dir)
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cli.WriteFileWithDigest(name, "", func(o *cli.Output) error {
		if _, err := o.Write(raw); err != nil {
			return err
		}
		p, err = verity.Append(o, int64(len(raw)), sha256.Sum256(raw), 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, strings.TrimSuffix(name, ".img")+".verity.json", p.JSON())
	return name, p
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestInspectVerity shows the hash tree behind a file system, and finds what differs from it.
func TestInspectVerity(t *testing.T) {
	name, p := verityImage(t)
	out, _, err := fledge(t, "inspect", name, "--verify")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("dm-verity   sha256, %d blocks of 4096 bytes, hash tree at byte %d\n", p.DataBlocks, p.HashOffset),
		"root hash   " + p.RootHash.String() + "\n", "salt        " + p.Salt.String() + "\n",
		"verified    the superblock agrees; every block agrees with the hash tree\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	other := p
	other.RootHash[0] ^= 1
	for what, c := range map[string]struct {
		at     int64 // of the byte to change
		params []byte
		want   string
	}{
		"a byte of the content":  {p.HashOffset - 5000, p.JSON(), "dm-verity: the file system is damaged in the block at byte "},
		"a byte of the tree":     {p.HashOffset + 4096 + 4000, p.JSON(), "its root hash of dm-verity is "},
		"the signature":          {p.HashOffset, p.JSON(), "app.verity.json has a root hash of dm-verity, and there is no such hash tree"},
		"another root hash":      {-1, other.JSON(), "app.verity.json says " + other.RootHash.String()},
		"parameters that are no": {-1, []byte("{}"), "app.verity.json: algorithm"},
	} {
		changed := bytes.Clone(raw)
		if c.at >= 0 {
			changed[c.at] ^= 1
		}
		writeFile(t, name, changed)
		writeFile(t, strings.TrimSuffix(name, ".img")+".verity.json", c.params)
		if _, _, err := fledge(t, "inspect", name, "--verify"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", what, err, c.want)
		}
	}
}

// TestInspectVeritysetup shows a hash tree that veritysetup made, whose root hash is the one that it told.
func TestInspectVeritysetup(t *testing.T) {
	imagetest.Need(t, "mkfs.erofs", "veritysetup")
	for form, checked := range map[string]bool{"sha256": true, "sha512": false} {
		name := filepath.Join(t.TempDir(), "app.img")
		imagetest.Run(t, "mkfs.erofs", name, t.TempDir())
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		said := imagetest.Run(t, "veritysetup", "format", name, name, "--hash="+form, fmt.Sprintf("--hash-offset=%d", info.Size()))
		root := strings.Fields(said[strings.Index(said, "Root hash:"):])[2]
		out, _, err := fledge(t, "inspect", name)
		if err != nil || strings.Contains(out, "root hash   "+root+"\n") != checked || !strings.Contains(out, "dm-verity   "+form+", ") {
			t.Errorf("%s: want root hash %s: %v\n%s", form, root, err, out)
		}
	}
}

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
		"verified    the superblock agrees; the file has the digest of the manifest; e2fsck -fn checks the rest\n",
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
