package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
)

// filesystem is a recipe of oci:image with the keys in [filesystem].
func filesystem(keys string) string {
	return strings.Replace(rootfs("oci:image", local("amd64")), "compression_level = 1\n", keys, 1)
}

// TestFilesystems builds each type that packs are linked into, and has the programs of its own read it.
func TestFilesystems(t *testing.T) {
	imagetest.Need(t, "fsck.erofs", "dump.erofs", "e2fsck", "debugfs", "dumpe2fs")
	k := newKit(t)
	k.layout("image", "one")
	for _, c := range []struct {
		keys, format string
		check, cat   []string // commands, to which the image is added
		says         string   // of cat
	}{
		{"type = \"erofs\"\n", "erofs", []string{"fsck.erofs"}, []string{"dump.erofs", "--path=/etc/content"}, "Size: 3"},
		{"type = \"ext4\"\n", "ext4", []string{"e2fsck", "-fn"}, []string{"debugfs", "-R", "cat /etc/content"}, "one"},
		{"type = \"ext4\"\njournal = true\nsize_buffer_mb = 16\n", "ext4", []string{"e2fsck", "-fn"}, []string{"dumpe2fs", "-h"}, "has_journal"},
	} {
		r := k.must(filesystem(c.keys), "amd64")
		k.outputs(r)
		image := r.Artifacts[0].Path
		imagetest.Run(t, c.check[0], append(c.check[1:], image)...)
		if said := imagetest.Run(t, c.cat[0], append(c.cat[1:], image)...); !strings.Contains(said, c.says) {
			t.Errorf("%s: %q says %q, want %q", c.keys, c.cat, said, c.says)
		}
		if m := k.read("out/image.manifest.json"); !strings.Contains(m, `"format": "`+c.format+`"`) {
			t.Errorf("%s: the manifest has not the format: %s", c.keys, m)
		}
		if again := k.must(filesystem(c.keys), "amd64", locked); len(again.packed()) > 0 || again.Artifacts[0].Digest != r.Artifacts[0].Digest {
			t.Errorf("%s: nothing changed, and %q were packed", c.keys, again.packed())
		}
	}
}

// TestPreallocate fills the holes, and changes no byte.
func TestPreallocate(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	sparse := k.must(filesystem("type = \"ext4\"\n"), "amd64")
	before := allocated(t, sparse.Artifacts[0])
	full := k.must(filesystem("type = \"ext4\"\npreallocate = true\n"), "amd64")
	after := allocated(t, full.Artifacts[0])
	if full.Artifacts[0] != sparse.Artifacts[0] {
		t.Errorf("preallocated %+v, with holes %+v", full.Artifacts[0], sparse.Artifacts[0])
	}
	if size := full.Artifacts[0].Size; before > size/8 || after < size {
		t.Errorf("of %d bytes take space: %d with holes, %d without", size, before, after)
	}
}

// TestVerity appends a hash tree, which veritysetup takes for right, and tells the root hash wherever it is looked for.
func TestVerity(t *testing.T) {
	imagetest.Need(t, "veritysetup")
	k := newKit(t)
	k.layout("image", "one")
	for _, c := range []struct{ keys, boots string }{
		{"type = \"squashfs\"\nverity = true\n", "verity=HASH\n"},
		{"type = \"erofs\"\nverity = true\nverity_root_hash = \"cmdline\"\n", "verity=cmdline\n"},
	} {
		r := k.must(filesystem(c.keys), "amd64")
		if got, want := k.outputs(r), []string{
			"rootfs image-rootfs.img", "verity image-rootfs.verity.json", "initramfs image-rootfs.initramfs.cpio.gz", "manifest image.manifest.json",
		}; !slices.Equal(got, want) {
			t.Errorf("%s: outputs %q, want %q", c.keys, got, want)
		}
		p, err := verity.Parse([]byte(k.read("out/image-rootfs.verity.json")))
		if err != nil || p.RootHash.String() != r.RootHash {
			t.Errorf("%s: %+v, %v, and the result says %s", c.keys, p, err, r.RootHash)
		}
		image := r.Artifacts[0].Path
		imagetest.Run(t, "veritysetup", "verify", image, image, r.RootHash, fmt.Sprintf("--hash-offset=%d", p.HashOffset))
		im, err := imagefile.Open(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Close()
		if err := im.VerifyAll(); err != nil || im.Info().Verity == nil || im.Info().Verity.RootHash != r.RootHash {
			t.Errorf("%s: %v, hash tree %+v", c.keys, err, im.Info().Verity)
		}
		m, err := manifest.ReadFile(filepath.Join(k.dir, "out/image.manifest.json"))
		if err != nil || m.RootFS.Verity == nil || *m.RootFS.Verity != p {
			t.Errorf("%s: the manifest has %+v, %v", c.keys, m.RootFS, err)
		}
		conf := contents(t, r.Artifacts[2].Path)["fledge/boot.conf"]
		if want := strings.Replace(c.boots, "HASH", r.RootHash, 1); !strings.Contains(conf, want) {
			t.Errorf("%s: the initramfs is told %q, want %q", c.keys, conf, want)
		}
		if again := k.must(filesystem(c.keys), "amd64", locked); again.RootHash != r.RootHash || again.Artifacts[0] != r.Artifacts[0] {
			t.Errorf("%s: another build: %+v", c.keys, again)
		}
	}
	k.must(filesystem("type = \"squashfs\"\n"), "amd64")
	if _, err := os.Stat(filepath.Join(k.dir, "out/image-rootfs.verity.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the root hash of an earlier build is still there: %v", err)
	}
}

// allocated is how many bytes of a file take space on the disk.
func allocated(t *testing.T, a Artifact) int64 {
	t.Helper()
	info, err := os.Stat(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// TestPacksOfKinds has the file systems that hold files as they are share their packs, and no other.
func TestPacksOfKinds(t *testing.T) {
	of := func(filesystem string) packing.Settings {
		t.Helper()
		s, err := Settings(&recipe.Recipe{Strategy: recipe.OCIRootfs, Filesystem: recipe.Filesystem{Type: filesystem}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, a := range packing.Filesystems {
		for _, b := range packing.Filesystems {
			if same, want := of(a) == of(b), a == b || packing.Writable(a) && packing.Writable(b); same != want {
				t.Errorf("%s and %s share packs: %v, want %v", a, b, same, want)
			}
		}
	}
	k := newKit(t)
	k.layout("image", "one")
	for _, step := range []struct {
		keys   string
		packed int
	}{
		{"type = \"squashfs\"\n", 3}, {"type = \"erofs\"\n", 3}, {"type = \"ext4\"\n", 3}, {"type = \"ext4\"\nsize_buffer_mb = 1\n", 0},
	} {
		if got := k.must(filesystem(step.keys), "amd64").packed(); len(got) != step.packed {
			t.Errorf("%s: %q were packed, want %d", step.keys, got, step.packed)
		}
	}
	folders, err := filepath.Glob(filepath.Join(k.cache, "packs", "*"))
	if err != nil || len(folders) != 3 {
		t.Errorf("packs are in %q, %v", folders, err)
	}
}
