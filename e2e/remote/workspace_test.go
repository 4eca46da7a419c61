package remote

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// buildFile has every kind of image that needs no machine, and what does: properties of a target say which of its actions
// go to workers with what machines need.
const buildFile = `load("@fledge//fledge:defs.bzl", "fledge_boot_test", "fledge_initramfs", "fledge_layers", "fledge_layout", "fledge_rootfs")
load(":probe.bzl", "probe")

fledge_layers(name = "base", config = "config.json", layers = ["base.tar"])
fledge_layers(name = "app", base = ":base", layers = ["app.tar"])
filegroup(name = "oci", srcs = glob(["oci/**"]))
fledge_layout(name = "split", layers = 2, layout = ":oci")

[fledge_rootfs(
    name = name,
    agent = "agent.sh",
    compression_level = level,
    filesystem = name,
    image = ":app",
    manifest = "manifest.toml",
    mappings = {"motd": "/etc/motd"},
) for name, level in [("squashfs", 3), ("erofs", 0), ("ext4", 0)]]

fledge_rootfs(
    name = "verity",
    agent = "agent.sh",
    compression_level = 3,
    image = ":oci",
    kernel = "@kernel",
    manifest = "manifest.toml",
    verity = True,
)

fledge_initramfs(
    name = "ram",
    agent = "agent.sh",
    busybox = "busybox",
    image = ":split",
    kernel = "@kernel",
    manifest = "manifest.toml",
)

filegroup(name = "images", srcs = [":squashfs", ":erofs", ":ext4", ":verity", ":ram"])

[fledge_rootfs(
    name = name,
    agent = "agent.sh",
    exec_properties = properties,
    filesystem = "xfs",
    image = ":app",
    manifest = "manifest.toml",
) for name, properties in [("xfs", {"vm.inject": "machine"}), ("xfs_anywhere", {})]]

fledge_boot_test(
    name = "boots",
    exec_properties = {"test.inject": "machine"},
    expect = ["the agent runs"],
    image = ":ram",
    kernel = "@kernel",
)

probe(name = "declared", srcs = ["motd"], reaches = ["motd"])
probe(name = "undeclared", srcs = ["motd"], reaches = ["motd", "manifest.toml"])
probe(name = "host_file", reaches = ["/etc/passwd"])
probe(name = "network", reaches = ["tcp:%[1]s"])
`

// probeRule runs e2e/remote/probe with the inputs that it is given, whatever it reaches for.
const probeRule = `def _probe_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".out")
    ctx.actions.run(
        mnemonic = "Probe",
        executable = ctx.file.program,
        arguments = [out.path] + ctx.attr.reaches,
        inputs = ctx.files.srcs,
        outputs = [out],
    )
    return [DefaultInfo(files = depset([out]))]

probe = rule(
    implementation = _probe_impl,
    attrs = {
        "program": attr.label(allow_single_file = True, default = "//:probe"),
        "reaches": attr.string_list(),
        "srcs": attr.label_list(allow_files = True),
    },
)
`

const manifest = `name = "remote"
version = "1.0.0"

[workload]
entrypoint = ["/app"]
`

// images are the files of //:images.
var images = []string{
	"erofs.img", "erofs.initramfs.cpio.gz", "erofs.manifest.json",
	"ext4.img", "ext4.initramfs.cpio.gz", "ext4.manifest.json",
	"ram.cpio.gz", "ram.manifest.json",
	"squashfs.img", "squashfs.initramfs.cpio.gz", "squashfs.manifest.json",
	"verity.img", "verity.initramfs.cpio.gz", "verity.manifest.json",
}

// newWorkspace makes a workspace with an output base of its own. It has a --config for the workers at that address, which
// is "remote", and one for the cache at that address, "cache".
func newWorkspace(t *testing.T, workers, cache string) *harness.Workspace {
	t.Helper()
	smoke := filepath.Join(toolrun.Repository(), "e2e/smoke/.bazelrc")
	w := harness.NewWorkspace(t, map[string]string{
		".bazelrc": "import " + smoke + "\nbuild --disk_cache=\n" +
			documented(t, "bash", "grpcs://build.example.com", "grpc://"+workers, "http://cache.example.com:8080", "http://"+cache),
		"BUILD.bazel":   fmt.Sprintf(buildFile, workers),
		"probe.bzl":     probeRule,
		"agent.sh":      "#!/bin/sh\necho the agent runs\n",
		"motd":          "hello\n",
		"config.json":   `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`,
		"manifest.toml": manifest,
		"base.tar":      layerTar(t, "base", "base"),
		"app.tar":       layerTar(t, "app", "one"),
	})
	err := layers.WriteLayout(filepath.Join(w.Dir, "oci"), layers.Gzip, v1.ImageConfig{}, file("base", "base"), file("app", "layout"))
	if err != nil {
		t.Fatal(err)
	}
	if err := toolrun.Build(".", "./e2e/remote/probe", filepath.Join(w.Dir, "probe")); err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile(findBusybox(t))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(t, "busybox", string(busybox))
	return w
}

func findBusybox(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skipf("%v: install it (Debian: apt install busybox-static)", err)
	}
	return path
}

// needKernel skips the test without the kernel that images have modules of.
func needKernel(t *testing.T) {
	t.Helper()
	if os.Getenv("FLEDGE_KERNEL_BZIMAGE") == "" || os.Getenv("FLEDGE_KERNEL_MODULES") == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
	}
}

// needQEMU skips the test without the QEMU that workers have for machines.
func needQEMU(t *testing.T) {
	t.Helper()
	if _, err := qemu.Find("amd64", os.Getenv(qemu.Variable("amd64"))); err != nil {
		t.Skip(err)
	}
}

// file is a layer of one file.
func file(name, text string) layers.Layer {
	return func(w *layers.Writer) error {
		content := strings.Repeat(text+"\n", 100_000)
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(1, 0)}
		return w.Add(h, strings.NewReader(content))
	}
}

func layerTar(t *testing.T, name, text string) string {
	t.Helper()
	data, err := layers.Tar(file(name, text))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// documented is the first block of a language in docs/remote-execution.md, with each odd replacement, which must be in
// it, instead of the even one before it.
func documented(t *testing.T, language string, replacements ...string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(toolrun.Repository(), "docs/remote-execution.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n```"+language+"\n")
	block, _, ends := strings.Cut(rest, "```\n")
	if !found || !ends {
		t.Fatalf("docs/remote-execution.md has no block of %s", language)
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(block, replacements[i]) {
			t.Fatalf("docs/remote-execution.md: the block of %s has no %q:\n%s", language, replacements[i], block)
		}
	}
	return strings.NewReplacer(replacements...).Replace(block)
}

// digests are those of the images, by name.
func digests(t *testing.T, w *harness.Workspace) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range images {
		data, err := os.ReadFile(filepath.Join(w.Dir, "bazel-bin", name))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = fmt.Sprintf("%d bytes, sha256:%x", len(data), sha256.Sum256(data))
	}
	return found
}

// outputs lists the files of actions in the output base, by their base name, without those that Bazel writes for itself.
func outputs(t *testing.T, w *harness.Workspace) []string {
	t.Helper()
	var found []string
	root := filepath.Join(w.OutputBase, "execroot", "_main", "bazel-out")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		if e.IsDir() && (strings.HasSuffix(name, ".runfiles") || path == filepath.Join(root, "_tmp")) {
			return fs.SkipDir
		}
		own := strings.HasSuffix(name, "-status.txt") || strings.HasSuffix(name, ".repo_mapping") ||
			strings.HasSuffix(name, ".runfiles_manifest")
		if e.Type().IsRegular() && !own {
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}
