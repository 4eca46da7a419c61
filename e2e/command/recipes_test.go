package command

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const guestArch = runtime.GOARCH

// Manifests of the recipes: one for images that say themselves how they run, one for those of our own programs.
const (
	manifestOfImage = "name = \"web\"\nversion = \"1.0.0\"\n[network]\nexpose = [{ port = 8080 }]\n"
	manifestOfApp   = manifestOfImage + "[workload]\nentrypoint = [\"/usr/bin/server\"]\n[resources]\nmemory_mb = 512\n"
)

// kernelTable bundles the modules of the kernel that boots the image here, which has the drivers apart.
const kernelTable = "[kernel]\nmodules = \"@MODULES@\"\n"

// example is a recipe of the reference, as a user writes it.
type example struct {
	name    string
	files   map[string]string
	args    []string // of fledge build
	outputs []string // the manifest last
	console []string // texts on the console of the machine that boots it
	alone   string   // why the bytes are not compared with those of Bazel; "" when they are
}

// listening is what the server of the examples says.
const listening = "hello: listening on :8080"

// dockerfile makes an image of the server, with a step that runs in the build machine.
const dockerfile = `FROM @REGISTRY@/base:1 AS build
ARG WHO=nobody
RUN mkdir -p /out && echo "$WHO was here" >/out/note
FROM @REGISTRY@/base:1
COPY --from=build /out/note /etc/note
COPY server /usr/bin/server
EXPOSE 8080
ENTRYPOINT ["/usr/bin/server"]
`

// webAs is a recipe of the image web:alpine in a file system.
func webAs(filesystem string) string {
	return `version = "1"
strategy = "oci_rootfs"
[agent]
source_strategy = "local"
path = "kestrel"
[source]
image = "@REGISTRY@/web:alpine"
[filesystem]
` + filesystem + kernelTable
}

var examples = []example{
	{
		name: "OCI rootfs",
		files: map[string]string{
			"fledge.toml": `version = "1"
strategy = "oci_rootfs"
[agent]
source_strategy = "release"
version = "latest"
repository = "@REPOSITORY@"
[source]
image = "@REGISTRY@/web:alpine"
[filesystem]
type = "squashfs"
compression_level = 3
overlay_size = "64M"
[mappings]
"site" = "/srv/www"
"note.txt" = "/etc/"
` + kernelTable,
			"manifest.toml": manifestOfImage, "site/index.html": "hello", "site/css/a.css": "a", "note.txt": "note",
		},
		outputs: []string{"web-rootfs.img", "web-rootfs.initramfs.cpio.gz", "web.manifest.json"},
		console: []string{"overlay 64M, /bin/kestrel stage2", listening},
	},
	{
		name: "EROFS with the root hash on the command line",
		files: map[string]string{
			"fledge.toml":   webAs("type = \"erofs\"\nverity = true\nverity_root_hash = \"cmdline\"\n"),
			"manifest.toml": manifestOfImage, "kestrel": "KESTREL",
		},
		outputs: []string{"web-rootfs.img", "web-rootfs.verity.json", "web-rootfs.initramfs.cpio.gz", "web.manifest.json"},
		console: []string{"/dev/vda (erofs), verified, overlay 1G, /bin/kestrel stage2", listening},
	},
	{
		name: "squashfs with dm-verity",
		files: map[string]string{
			"fledge.toml":   webAs("type = \"squashfs\"\ncompression_level = 3\nverity = true\n"),
			"manifest.toml": manifestOfImage, "kestrel": "KESTREL",
		},
		outputs: []string{"web-rootfs.img", "web-rootfs.verity.json", "web-rootfs.initramfs.cpio.gz", "web.manifest.json"},
		console: []string{"/dev/vda (squashfs), verified, overlay 1G, /bin/kestrel stage2", listening},
	},
	{
		name: "ext4",
		files: map[string]string{
			"fledge.toml":   webAs("type = \"ext4\"\nsize_buffer_mb = 32\njournal = true\n"),
			"manifest.toml": manifestOfImage, "kestrel": "KESTREL",
		},
		outputs: []string{"web-rootfs.img", "web-rootfs.initramfs.cpio.gz", "web.manifest.json"},
		console: []string{"/dev/vda (ext4), read-write, /bin/kestrel stage2", listening},
	},
	{
		name: "xfs",
		files: map[string]string{
			"fledge.toml": webAs("type = \"xfs\"\n"), "manifest.toml": manifestOfImage, "kestrel": "KESTREL",
		},
		outputs: []string{"web-rootfs.img", "web-rootfs.initramfs.cpio.gz", "web.manifest.json"},
		console: []string{"/dev/vda (xfs), read-write, /bin/kestrel stage2", listening},
	},
	{
		name: "btrfs",
		files: map[string]string{
			"fledge.toml": webAs("type = \"btrfs\"\nsize_buffer_mb = 64\n"), "manifest.toml": manifestOfImage, "kestrel": "KESTREL",
		},
		outputs: []string{"web-rootfs.img", "web-rootfs.initramfs.cpio.gz", "web.manifest.json"},
		console: []string{"/dev/vda (btrfs), read-write, /bin/kestrel stage2", listening},
		alone:   "a kernel fills it, which writes other bytes each time",
	},
	{
		name: "Dockerfile rootfs",
		files: map[string]string{
			"fledge.toml": `version = "1"
strategy = "oci_rootfs"
[agent]
source_strategy = "local"
path = "kestrel"
[source]
dockerfile = "./docker/Dockerfile"
context = "."
build_args = { WHO = "fledge" }
[filesystem]
type = "squashfs"
compression_level = 3
` + kernelTable,
			"manifest.toml": manifestOfImage, "docker/Dockerfile": dockerfile, "server": "SERVER", "kestrel": "KESTREL",
			".dockerignore": "kestrel\n",
		},
		outputs: []string{"web.img", "web.initramfs.cpio.gz", "web.manifest.json"},
		console: []string{"/bin/kestrel stage2", listening},
	},
	{
		name:    "direct Dockerfile",
		files:   map[string]string{"app/Dockerfile": dockerfile, "app/server": "SERVER"},
		args:    []string{"app/Dockerfile", "--build-arg", "WHO=me", "--agent", "@FILES@/kestrel", "--modules", "@MODULES@"},
		outputs: []string{"app.img", "app.initramfs.cpio.gz", "app.manifest.json"},
		console: []string{"/bin/kestrel stage2", listening},
	},
	{
		name:  "direct Dockerfile as an initramfs",
		files: map[string]string{"app/Dockerfile": dockerfile, "app/server": "SERVER"},
		args: []string{"app/Dockerfile", "--output-initramfs", "--output", "out/tool", "--agent", "@FILES@/kestrel",
			"--busybox", "@FILES@/busybox"},
		outputs: []string{"out/tool.cpio.gz", "out/tool.manifest.json"},
		console: []string{listening},
	},
	{
		name: "initramfs, minimal",
		files: map[string]string{
			"fledge.toml": `version = "1"
strategy = "initramfs"
[agent]
source_strategy = "http"
url = "@FILES@/kestrel"
[source]
busybox_url = "@FILES@/busybox"
[mappings]
"server" = "/usr/bin/server"
` + kernelTable,
			"manifest.toml": manifestOfApp, "server": "SERVER",
		},
		outputs: []string{"web.cpio.gz", "web.manifest.json"},
		console: []string{"kestrel: initramfs", listening},
	},
	{
		name: "initramfs from a Dockerfile",
		files: map[string]string{
			"fledge.toml": `version = "1"
strategy = "initramfs"
[agent]
source_strategy = "release"
version = "v0.7.3"
repository = "@REPOSITORY@"
[source]
dockerfile = "Dockerfile"
busybox_url = "@FILES@/busybox"
`,
			"manifest.toml": manifestOfImage, "Dockerfile": dockerfile, "server": "SERVER",
		},
		outputs: []string{"web.cpio.gz", "web.manifest.json"},
		console: []string{listening},
	},
	{
		name: "initramfs with an init of its own",
		files: map[string]string{
			"fledge.toml": `version = "1"
strategy = "initramfs"
[source]
busybox_url = "@FILES@/busybox"
[init]
path = "/usr/bin/system"
[mappings]
"system" = "/usr/bin/system"
`,
			"manifest.toml": manifestOfApp, "system": "#!/bin/sh\necho \"system: pid $$, $(cat /proc/1/comm)\"\nsleep 1000\n",
		},
		outputs: []string{"web.cpio.gz", "web.manifest.json"},
		console: []string{"system: pid 1, system"},
	},
	{
		name: "initramfs without Fledge's init",
		files: map[string]string{
			"fledge.toml": `version = "1"
strategy = "initramfs"
[source]
busybox_url = "@FILES@/busybox"
[init]
none = true
[mappings]
"init" = "/init"
`,
			"manifest.toml": manifestOfApp, "init": "#!/bin/sh\necho \"none: pid $$, proc has $(ls /proc | wc -l)\"\nsleep 1000\n",
		},
		outputs: []string{"web.cpio.gz", "web.manifest.json"},
		console: []string{"none: pid 1, proc has 0"},
	},
}

// testExamples builds and boots what the reference of fledge.toml shows.
func (k *kit) testExamples(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			dir := k.project(t, e.files)
			args := []string{"build"}
			for _, a := range e.args {
				args = append(args, k.fill(a))
			}
			r := k.must(t, dir, args...)
			for _, name := range e.outputs {
				if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
				if !strings.Contains(r.stdout, name+": ") {
					t.Errorf("%s is not told of: %q", name, r.stdout)
				}
			}
			for _, path := range names(t, dir) {
				if name := filepath.Base(path); strings.HasPrefix(name, ".") && name != ".dockerignore" {
					t.Errorf("left behind: %s", path)
				}
			}
			k.boot(t, dir, e.outputs[len(e.outputs)-1], e.console...)
			k.must(t, dir, "inspect", e.outputs[len(e.outputs)-1], "--verify") // no boot changes the image
		})
	}
}

// pushImages gives the registry the images that the recipes name.
func (k *kit) pushImages(t *testing.T) {
	base := layerOf(t, map[string]string{"bin/busybox": k.busybox, "bin/sh": k.busybox, "bin/mkdir": k.busybox})
	k.push(t, "base:1", v1.Config{Env: []string{"PATH=/usr/bin:/bin"}}, base)
	k.push(t, "web:alpine", v1.Config{Entrypoint: []string{"/usr/bin/server"}, Env: []string{"PATH=/usr/bin:/bin"}}, base,
		layerOf(t, map[string]string{"usr/bin/server": k.server}))
}

func TestCommand(t *testing.T) {
	k := newKit(t)
	k.pushImages(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Examples", k.testExamples},
		{"Lock", k.testLock},
		{"Again", k.testAgain},
		{"LocalImages", k.testLocalImages},
		{"Interrupt", k.testInterrupt},
		{"Errors", k.testErrors},
		{"OrdinaryUser", k.testOrdinaryUser},
		{"Rules", k.testRules},
	} {
		t.Run(c.name, c.run)
	}
}
