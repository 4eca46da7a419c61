// Package arm64 builds an image for arm64 from a workspace that uses Fledge as its users do, on whatever machine this
// is, and boots it.
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
const build = `load("@fledge//fledge:defs.bzl", "fledge_boot_test", "fledge_initramfs", "fledge_layout", "fledge_rootfs")

genrule(
    name = "base",
    outs = ["base.tar"],
    cmd = "$(execpath @fledge//examples/hello/base) arm64 $@",
    tools = ["@fledge//examples/hello/base"],
)

fledge_layout(
    name = "base_layers",
    layers = 1,
    layout = ":base.tar",
)

[
    fledge_rootfs(
        name = name,
        agent = "@fledge//examples/hello/agent",
        compression_level = 1,
        image = image,
        kernel = "@kernel",
        manifest = "manifest.toml",
        mappings = {"@fledge//examples/hello/server": "/usr/bin/hello"},
    )
    for name, image in {
        "hello": ":base.tar",
        "hello_layers": ":base_layers",
    }.items()
]

fledge_initramfs(
    name = "ram",
    agent = "@fledge//examples/hello/agent",
    busybox = None,
    image = ":base.tar",
    kernel = "@kernel",
    manifest = "manifest.toml",
    mappings = {"@fledge//examples/hello/server": "/usr/bin/hello"},
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
`

const manifest = `schema_version = "v1"
name = "hello"
version = "1.0.0"
runtime = "hello"

[workload]
type = "http"
entrypoint = ["/usr/bin/hello"]
`

func TestArm64(t *testing.T) {
	harness.NeedSlow(t, "compiles for arm64, and boots an image under QEMU without KVM")
	const setUp = "; FLEDGE_SETUP_ARM64=1 ./bazelw --fledge-setup gets one and prints what to set"
	if os.Getenv("FLEDGE_KERNEL_ARM64") == "" || os.Getenv("FLEDGE_KERNEL_ARM64_MODULES") == "" {
		t.Skip("no arm64 kernel in FLEDGE_KERNEL_ARM64 and FLEDGE_KERNEL_ARM64_MODULES" + setUp)
	}
	if _, err := qemu.Find("arm64", os.Getenv(qemu.Variable("arm64"))); err != nil {
		t.Skip(err.Error() + setUp)
	}
	w := harness.NewWorkspace(t, map[string]string{"BUILD.bazel": build, "manifest.toml": manifest})

	w.Bazel(t, "build", platform, "//:hello", "//:hello_layers")
	one, two := read(t, w, "hello.img"), read(t, w, "hello_layers.img")
	if !bytes.Equal(one, two) {
		t.Error("the image differs when the layers are split first")
	}

	out, err := w.Try("test", platform, "--test_output=all", "//:hello_test", "//:ram_test")
	if err != nil {
		t.Fatal(err)
	}
	console := regexp.MustCompile(`(?m)^(hello|kestrel|boot|fledge-init): .*|^//:\w+_test .*`)
	t.Log(strings.Join(console.FindAllString(out, -1), "\n"))
	if n := strings.Count(out, "boot: HTTP 200 OK from port 8080 after "); n != 2 {
		t.Errorf("%d answers over HTTP, want that of the root file system and that of the initramfs", n)
	}

	_, err = w.Try("build", "--platforms=@fledge//fledge/platforms:linux_amd64", "//:base_layers")
	if err == nil || !strings.Contains(err.Error(), "holds no image for linux/amd64, only") {
		t.Errorf("a build for amd64 on a base for arm64: %v", err)
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
