// Package arm64 builds images for arm64, one of them from a Dockerfile, from a workspace that uses Fledge as its users do,
// on whatever machine this is, and boots them.
package arm64

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

const platform = "--platforms=@fledge//fledge/platforms:linux_arm64"

// The base has one image, for arm64 alone, so that a build for another platform fails.
const build = `load("@fledge//fledge:defs.bzl", "fledge_boot_test", "fledge_dockerfile", "fledge_initramfs", "fledge_layers", "fledge_layout", "fledge_rootfs")

genrule(
    name = "base",
    outs = ["base.tar"],
    cmd = "$(execpath @fledge//e2e/programs:base) arm64 $@",
    tools = ["@fledge//e2e/programs:base"],
)

fledge_layout(
    name = "base_layers",
    layers = 1,
    layout = ":base.tar",
)

[
    fledge_rootfs(
        name = name,
        agent = "@fledge//e2e/programs:agent",
        compression_level = 1,
        image = image,
        kernel = "@kernel",
        manifest = "manifest.toml",
        mappings = {"@fledge//e2e/programs:server": "/usr/bin/hello"},
    )
    for name, image in {
        "hello": ":base.tar",
        "hello_layers": ":base_layers",
    }.items()
]

fledge_initramfs(
    name = "ram",
    agent = "@fledge//e2e/programs:agent",
    busybox = None,
    image = ":base.tar",
    kernel = "@kernel",
    manifest = "manifest.toml",
    mappings = {"@fledge//e2e/programs:server": "/usr/bin/hello"},
)

fledge_boot_test(
    name = "ram_test",
    expect = ["kestrel: initramfs"],
    http_expect = "Hello",
    http_port = 8080,
    image = ":ram",
    kernel = "@kernel",
)

fledge_boot_test(
    name = "hello_test",
    expect = ["hello: listening on :8080"],
    http_expect = "Hello",
    http_port = 8080,
    image = ":hello",
    kernel = "@kernel",
)

fledge_dockerfile(
    name = "site_oci",
    base_images = {"base": ":base.tar"},
    context = ["index.html"],
    context_mappings = {"@fledge//e2e/programs:site": "site"},
    dockerfile = "Dockerfile",
)

fledge_rootfs(
    name = "site",
    agent = "@fledge//e2e/programs:agent",
    image = ":site_oci",
    kernel = "@kernel",
    manifest = "site.toml",
)

fledge_boot_test(
    name = "site_test",
    http_expect = "Made on arm64",
    http_port = 8080,
    image = ":site",
    kernel = "@kernel",
)

fledge_layers(
    name = "other_layers",
    config = "other.json",
    layers = ["other.tar"],
)

fledge_rootfs(
    name = "other",
    agent = "@fledge//e2e/programs:agent",
    image = ":other_layers",
    kernel = "@kernel",
    manifest = "manifest.toml",
)
`

// The base has no shell. TARGETARCH is BuildKit's, and the step that reads it runs on an arm64 machine.
const dockerfile = `FROM base AS build
ARG TARGETARCH
RUN --mount=type=bind,target=/context ["/context/site", "render", "/context", "/srv/site"]

FROM base
COPY site /usr/bin/site
COPY --from=build /srv/site /srv/site
WORKDIR /srv/site
ENTRYPOINT ["/usr/bin/site", "serve"]
`

const page = "<p>Made on {{TARGETARCH}}</p>\n"

const manifest = `schema_version = "v1"
name = "hello"
version = "1.0.0"
runtime = "hello"

[workload]
type = "http"
entrypoint = ["/usr/bin/hello"]
`

// siteManifest leaves the entry point to the image.
var siteManifest = strings.Replace(manifest, "entrypoint = [\"/usr/bin/hello\"]\n", "", 1)

func TestArm64(t *testing.T) {
	harness.NeedSlow(t, "compiles for arm64, and boots an image under QEMU without KVM")
	const setUp = "; FLEDGE_SETUP_ARM64=1 ./bazelw --fledge-setup gets one and prints what to set"
	if os.Getenv("FLEDGE_KERNEL_ARM64") == "" || os.Getenv("FLEDGE_KERNEL_ARM64_MODULES") == "" {
		t.Skip("no arm64 kernel in FLEDGE_KERNEL_ARM64 and FLEDGE_KERNEL_ARM64_MODULES" + setUp)
	}
	if _, err := qemu.Find("arm64", os.Getenv(qemu.Variable("arm64"))); err != nil {
		t.Skip(err.Error() + setUp)
	}
	w := harness.NewWorkspace(t, map[string]string{
		"BUILD.bazel": build, "manifest.toml": manifest, "site.toml": siteManifest, "Dockerfile": dockerfile, "index.html": page,
		"other.json": `{"os": "linux", "architecture": "amd64"}`, "other.tar": string(make([]byte, 1024)),
	})

	w.Bazel(t, "build", platform, "//:hello", "//:hello_layers")
	one, two := read(t, w, "hello.img"), read(t, w, "hello_layers.img")
	if !bytes.Equal(one, two) {
		t.Error("the image differs when the layers are split first")
	}

	out, err := w.Try("test", platform, "--test_output=all", "//:hello_test", "//:ram_test", "//:site_test")
	if err != nil {
		t.Fatal(err)
	}
	console := regexp.MustCompile(`(?m)^(hello|site|kestrel|boot|fledge-init): .*|^//:\w+_test .*`)
	t.Log(strings.Join(console.FindAllString(out, -1), "\n"))
	if n := strings.Count(out, "boot: HTTP 200 OK from port 8080 after "); n != 3 {
		t.Errorf("%d answers over HTTP, want those of a root file system, of an initramfs and of a Dockerfile's image", n)
	}

	_, err = w.Try("build", "--platforms=@fledge//fledge/platforms:linux_amd64", "//:base_layers")
	if err == nil || !strings.Contains(err.Error(), "holds no image for linux/amd64, only") {
		t.Errorf("a build for amd64 on a base for arm64: %v", err)
	}
	_, err = w.Try("build", platform, "//:other")
	if err == nil || !strings.Contains(err.Error(), "the image is for amd64, and the guest is arm64: give an image for linux/arm64") {
		t.Errorf("a build for arm64 of an image for amd64: %v", err)
	}
}

func read(t *testing.T, w *harness.Workspace, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.Dir, "bazel-bin", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
