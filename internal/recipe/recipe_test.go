package recipe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	agents "github.com/fledge-build/fledge/internal/agent"
)

var squashfs = Filesystem{Type: "squashfs", CompressionLevel: 15, OverlaySize: "1G"}

var latest = &Agent{Strategy: Release, Version: Latest, Repository: agents.Repository}

// rootfs is the recipe of nginx in a file system.
func rootfs(f Filesystem) Recipe {
	return Recipe{Strategy: OCIRootfs, Agent: latest, Source: Source{Image: "nginx:alpine"}, Filesystem: f}
}

// good are right recipes, and what they say. File and Dir are left out.
var good = []struct {
	name, src string
	want      Recipe
}{
	{"root file system of an image", oci,
		rootfs(squashfs)},
	{"every key of a root file system", `
version = "1"
strategy = "oci_rootfs"
agent = { source_strategy = "release", version = "v0.7.3", repository = "https://example.com/a/kestrel" }
filesystem = { type = "squashfs", compression_level = 22, overlay_size = "50%", size_buffer_mb = 0, preallocate = false }
kernel.modules = "lib/modules/6.1"
kernel.config = "boot/config-6.1"
[source]
dockerfile = "docker/Dockerfile"
context = "."
target = "release"
build_args = { VERSION = "1 = 2", _empty = "" }
[mappings]
"b/" = "/"
"a" = "/etc/x/"
"c d" = "/etc/x/"
`, Recipe{
		Strategy: OCIRootfs,
		Agent:    &Agent{Strategy: Release, Version: "v0.7.3", Repository: "https://example.com/a/kestrel"},
		Source: Source{Dockerfile: "docker/Dockerfile", Context: ".", Target: "release",
			BuildArgs: map[string]string{"VERSION": "1 = 2", "_empty": ""}},
		Filesystem: Filesystem{Type: "squashfs", CompressionLevel: 22, OverlaySize: "50%"},
		Kernel:     Kernel{Modules: "lib/modules/6.1", Config: "boot/config-6.1"},
		Mappings:   []Mapping{{"b/", "/"}, {"a", "/etc/x/"}, {"c d", "/etc/x/"}},
	}},
	{"erofs", erofsOci + "size_buffer_mb = 0\npreallocate = false\njournal = false\nverity = true\n", rootfs(
		Filesystem{Type: "erofs", OverlaySize: "1G", Verity: true, VerityRootHash: "initramfs"})},
	{"squashfs with the root hash on the command line", oci + "verity = true\nverity_root_hash = \"cmdline\"\n", rootfs(
		Filesystem{Type: "squashfs", CompressionLevel: 15, OverlaySize: "1G", Verity: true, VerityRootHash: "cmdline"})},
	{"ext4", ext4Oci + "size_buffer_mb = 1048576\npreallocate = true\njournal = true\noverlay_size = \"64M\"\nverity = false\n", rootfs(
		Filesystem{Type: "ext4", OverlaySize: "64M", SizeBufferMB: 1 << 20, Preallocate: true, Journal: true})},
	{"xfs", xfsOci + "size_buffer_mb = 64\njournal = false\n", rootfs(
		Filesystem{Type: "xfs", OverlaySize: "1G", SizeBufferMB: 64})},
	{"btrfs", btrfsOci, rootfs(Filesystem{Type: "btrfs", OverlaySize: "1G"})},
	{"context and target that are not given", head + kestrel + dockerfile + "context = \"\"\ntarget = \"\"\n[filesystem]\n",
		Recipe{Strategy: OCIRootfs, Agent: latest, Source: Source{Dockerfile: "Dockerfile", Context: "."}, Filesystem: squashfs}},
	{"neither, and no Dockerfile", head + kestrel + source + "context = \"\"\ntarget = \"\"\n[filesystem]\n",
		Recipe{Strategy: OCIRootfs, Agent: latest, Source: Source{Image: "nginx:alpine"}, Filesystem: squashfs}},
	{"context of a Dockerfile elsewhere", cpio + "[source]\ndockerfile = \"../app/Dockerfile\"\n",
		Recipe{Strategy: Initramfs, Agent: latest, Source: Source{Dockerfile: "../app/Dockerfile", Context: "../app"}}},
	{"initramfs of nothing", cpio, Recipe{Strategy: Initramfs, Agent: latest}},
	{"initramfs with an agent", cpio + kestrel + "[source]\n[init]\nnone = false\n", Recipe{Strategy: Initramfs, Agent: latest}},
	{"initramfs of an image", cpio + "[source]\nimage = \"oci:layout\"\n",
		Recipe{Strategy: Initramfs, Agent: latest, Source: Source{Image: "oci:layout"}}},
	{"busybox that the lock pins", cpio + "[source]\nbusybox_url = \"http://localhost:8080/busybox\"\n",
		Recipe{Strategy: Initramfs, Agent: latest, Source: Source{BusyboxURL: "http://localhost:8080/busybox"}}},
	{"busybox", cpio + "[source]\nbusybox_url = \"https://example.com/busybox\"\nbusybox_sha256 = \"sha256:" + sum + "\"\n",
		Recipe{Strategy: Initramfs, Agent: latest, Source: Source{BusyboxURL: "https://example.com/busybox", BusyboxSHA256: sum}}},
	{"local agent", cpio + "[agent]\nsource_strategy = \"local\"\npath = \"../kestrel\"\n",
		Recipe{Strategy: Initramfs, Agent: &Agent{Strategy: Local, Path: "../kestrel"}}},
	{"agent at a URL", cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/{arch}/k?v=1\"\n",
		Recipe{Strategy: Initramfs, Agent: &Agent{Strategy: HTTP, URL: "https://example.com/{arch}/k?v=1"}}},
	{"agent at a URL, pinned", cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/k\"\nchecksum = \"" +
		strings.ToUpper(sum) + "\"\n",
		Recipe{Strategy: Initramfs, Agent: &Agent{Strategy: HTTP, URL: "https://example.com/k", Checksum: "sha256:" + sum}}},
	{"custom init", cpio + "[init]\npath = \"/usr/local/bin/my-init.sh\"\n",
		Recipe{Strategy: Initramfs, Init: Init{Path: "/usr/local/bin/my-init.sh"}}},
	{"custom init that is not none", cpio + "[init]\npath = \"/i\"\nnone = false\n", Recipe{Strategy: Initramfs, Init: Init{Path: "/i"}}},
	{"no init", cpio + "[init]\nnone = true\n[mappings]\n\"./a\" = \"/init\"\n",
		Recipe{Strategy: Initramfs, Init: Init{None: true}, Mappings: []Mapping{{"./a", "/init"}}}},
	{"windows line ends", strings.ReplaceAll(oci, "\n", "\r\n"),
		Recipe{Strategy: OCIRootfs, Agent: latest, Source: Source{Image: "nginx:alpine"}, Filesystem: squashfs}},
}

func TestParse(t *testing.T) {
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse("a/fledge.toml", []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.File, tt.want.Dir = "a/fledge.toml", "a"
			if len(tt.want.Source.BuildArgs) == 0 {
				tt.want.Source.BuildArgs = map[string]string{}
			}
			if d := cmp.Diff(&tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// allWrong are the wrong recipes of all tables.
func allWrong() (all []wrong) {
	for _, part := range [][]wrong{wrongTop, wrongAgent, wrongSource, wrongFs, wrongInit, wrongMappings} {
		all = append(all, part...)
	}
	return all
}

func TestWrong(t *testing.T) {
	for _, tt := range allWrong() {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("fledge.toml", []byte(tt.src))
			if got := fmt.Sprint(err); got != tt.want {
				t.Errorf("%s\ngot\n%s\nwant\n%s", tt.src, got, tt.want)
			}
		})
	}
}
