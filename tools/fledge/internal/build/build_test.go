package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// TestNothingHalf has builds fail: nothing is left, and nothing is replaced.
func TestNothingHalf(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	good := rootfs("oci:image", local("amd64"))
	none := func(*Options) {}
	k.fails(rootfs("oci:image", local("none")), "amd64", none, "kestrel-none: no such file")
	k.fails(rootfs("oci:gone", local("amd64")), "amd64", none, "oci:gone: ", "no such file")
	k.fails(rootfs("oci-archive:kestrel-amd64", local("amd64")), "amd64", none, "kestrel-amd64")
	k.fails(good+"[mappings]\n\"gone\" = \"/etc/\"\n", "amd64", none, "fledge.toml: mappings: ", "gone: no such file")
	k.fails(good+"[kernel]\nmodules = \"image\"\n", "amd64", none, "fledge.toml: [kernel]: kernel modules ")
	k.write("config", "CONFIG_SQUASHFS=m\n")
	k.fails(good+"[kernel]\nconfig = \"config\"\n", "amd64", none, "fledge.toml: [kernel]: kernel config ", "/config: CONFIG_SQUASHFS=m, ",
		"but no modules are bundled", "CONFIG_SQUASHFS_ZSTD is not set")
	k.fails("version = \"1\"\nstrategy = \"initramfs\"\n[agent]\n"+local("amd64")+"[source]\nbusybox_url = \"@FILES@/busybox-amd64\"\n"+
		"[kernel]\nconfig = \"config\"\n", "amd64", none, "fledge.toml: [kernel]: kernel config ", "CONFIG_RD_GZIP is not set")
	k.fails(good, "amd64", func(o *Options) { o.Manifest = []byte("name = 1\nversion = \"1\"\n") }, "manifest.toml:1:8: name")
	k.fails(good+"[mappings]\n\".\" = \"/srv\"\n", "amd64", none, `mappings: ".": the build makes fledge.lock in it; move what is mapped`)
	k.fails(good+"[mappings]\n\"out\" = \"/srv\"\n", "amd64", func(o *Options) {
		if err := os.MkdirAll(filepath.Join(k.dir, "out"), 0o755); err != nil {
			t.Fatal(err)
		}
	}, `mappings: "out": the build makes image.manifest.json in it`)
	k.fails("version = \"1\"\nstrategy = \"initramfs\"\n[agent]\n"+local("amd64")+"[source]\nbusybox_url = \"@FILES@/busybox-amd64\"\n", "amd64",
		func(o *Options) { o.ManifestFile, o.Manifest = "", []byte("name = \"app\"\nversion = \"1\"\n") },
		"manifest.toml:1:1: missing key \"entrypoint\" in [workload]", "there is no manifest.toml", "write one beside the recipe, or name one with --manifest")
	k.fails(good, "amd64", locked, "--locked: there is no ", "build once without --locked, and commit the file")

	k.write("out/image-rootfs.img", "before")
	if err := os.Mkdir(filepath.Join(k.dir, "out/image.manifest.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	k.fails(good, "amd64", none, "the manifest: ", "image.manifest.json is a folder; move it, or choose another name with --output")
	if err := os.Remove(filepath.Join(k.dir, "out/image.manifest.json")); err != nil {
		t.Fatal(err)
	}
	k.fails(good, "amd64", func(o *Options) { o.LockFile = filepath.Join(k.dir, "no/fledge.lock") }, "no: no such file")
	if k.read("out/image-rootfs.img") != "before" {
		t.Error("a build that failed replaced the image")
	}
}

// TestEarly finds mistakes in files of the project before an image is asked for.
func TestEarly(t *testing.T) {
	k := newKit(t)
	none := func(*Options) {}
	k.fails(rootfs("oci:gone", local("none")), "amd64", none, "kestrel-none: no such file")
	k.fails(rootfs("oci:gone", local("amd64"))+"[mappings]\n\"gone\" = \"/etc/\"\n", "amd64", none, "mappings: ", "gone: no such file")
	k.fails(rootfs("oci:gone", local("amd64"))+"[mappings]\n\"kestrel-arm64\" = \"/a\"\n\"kestrel-amd64\" = \"/a/b\"\n", "amd64", none,
		"fledge.toml: mappings: ", "is below the file /a")
	k.write("config", "CONFIG_SQUASHFS=y\n")
	k.fails(rootfs("oci:gone", local("amd64"))+"[kernel]\nconfig = \"config\"\n", "amd64", none, "fledge.toml: [kernel]: kernel config ")
	k.fails(rootfs("oci:gone", local("amd64"))+"[kernel]\nmodules = \"gone\"\n", "amd64", none, "fledge.toml: [kernel]: ", "gone: no such file")
	k.fails(rootfs("oci:gone", local("amd64")), "amd64", func(o *Options) { o.Manifest = []byte("name = 1\nversion = \"1\"\n") }, "manifest.toml:1:8: name")
	k.fails(rootfs("oci:gone", local("amd64")), "amd64", func(o *Options) { o.Manifest = []byte("name = \"a\"\nversion = \"1\"\n") }, "oci:gone: ")
}

// TestNoMkfs finds before an image is asked for that what makes the file system is missing.
func TestNoMkfs(t *testing.T) {
	k := newKit(t)
	none := func(*Options) {}
	for filesystem, pkg := range map[string]string{fill.XFS: "xfsprogs", fill.Btrfs: "btrfs-progs"} {
		t.Setenv(fill.Variable(filesystem), filepath.Join(k.dir, "gone"))
		toml := strings.Replace(rootfs("oci:gone", local("amd64")), "compression_level = 1", "type = \""+filesystem+"\"", 1)
		k.fails(toml, "amd64", none, "fledge.toml: filesystem.type = \""+filesystem+"\": ", "gone", "it should be mkfs."+filesystem+", of the package "+pkg)
	}
}

// TestInterrupt ends a build when it begins to write, and when all is written.
func TestInterrupt(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	for _, at := range []string{"pack agent …", "write image-rootfs.img …", "write image.manifest.json …"} {
		o := k.options(rootfs("oci:image", local("amd64")))
		ctx, cancel := context.WithCancel(t.Context())
		o.UI = ui.New(&k.said, writer(func(b []byte) {
			if strings.Contains(string(b), at) {
				cancel()
			}
		}), ui.Plain)
		before := k.files()
		if r, err := Run(ctx, o); !errors.Is(err, context.Canceled) || r != nil {
			t.Errorf("%s: %+v, %v", at, r, err)
		}
		cancel()
		if after := k.files(); !slices.Equal(after, before) {
			t.Errorf("%s: files %q, before %q", at, after, before)
		}
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
