package guides

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/agent/agenttest"
	"github.com/fledge-build/fledge/internal/busybox"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/registrytest"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// kit is the machine of the readers: the commands bazel and fledge, and stand-ins for what only the internet has. These are a registry
// in the place of Docker Hub, with a busybox:stable that is Debian's busybox; a server in the place of GitHub, with a release
// that is the agent of the examples; and a mock of rules_oci.
type kit struct {
	dir      string
	env      []string
	releases *agenttest.Server
}

const busyboxProgram = "/bin/busybox"

// newKit makes the kit, or skips the test and says why.
func newKit(t *testing.T) *kit {
	t.Helper()
	harness.NeedSlow(t, "does what the guides say: builds images and boots them")
	imagetest.Need(t, "cpio", "docker-registry", "ip", "skopeo", "umoci", "unshare", busyboxProgram)
	for _, variable := range []string{"FLEDGE_KERNEL_BZIMAGE", "FLEDGE_KERNEL_MODULES"} {
		if os.Getenv(variable) == "" {
			t.Skipf("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it and FLEDGE_KERNEL_MODULES to its lib/modules/RELEASE")
		}
	}
	if _, err := qemu.Find(runtime.GOARCH, os.Getenv(qemu.Variable(runtime.GOARCH))); err != nil {
		t.Skip(err)
	}
	k := &kit{dir: harness.NewFolder(t)}
	kestrel := filepath.Join(t.TempDir(), "kestrel")
	if err := toolrun.Build(".", "./examples/hello/agent", kestrel, "CGO_ENABLED=0", "GOOS=linux"); err != nil {
		t.Fatal(err)
	}
	agent := read(t, kestrel)
	k.releases = agenttest.New(t, &agenttest.Release{Tag: "v0.7.3", Files: map[string][]byte{"kestrel": agent}})

	id := registrytest.NewIdentity(t)
	open := registrytest.StartOpen(t)
	pushBusybox(t, open.Addr+"/library/busybox:stable")
	secure := registrytest.StartWithTLS(t, open, id)
	k.commands(t, open, secure, id)
	return k
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// commands makes bazel and fledge. All workspaces have one output base, so that what Fledge's programs are built with is fetched
// once; the flags of the other tests' workspaces, so that the programs come from the cache.
func (k *kit) commands(t *testing.T, open, secure *registrytest.Server, id *registrytest.Identity) {
	t.Helper()
	fledge := harness.Built(t, "//tools/fledge:dist")
	path := func(name string) string { return filepath.Join(k.dir, name) }
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Fatal(err)
	}
	rulesOCI := filepath.Join(toolrun.Repository(), "e2e/guides/testdata/rules_oci_mock")
	bazel := fmt.Sprintf("#!/bin/sh\nPATH=%q FLEDGE_BAZEL=%q exec %q --output_base=%q --host_jvm_args=-Djavax.net.ssl.trustStore=%q --bazelrc=%q \"$@\"\n",
		path("programs")+":"+os.Getenv("PATH"), os.Getenv("FLEDGE_BAZEL"), filepath.Join(toolrun.Repository(), "bazelw"), path("out"),
		registrytest.TrustStore(t, id), path("bazelrc"))
	for name, content := range map[string]string{
		"bin/bazel":       bazel,
		"programs/skopeo": fmt.Sprintf("#!/bin/sh\nexec %q --registries-conf %q \"$@\"\n", skopeo, path("registries.conf")),
		"programs/fledge": fmt.Sprintf("#!/bin/sh\nFLEDGE_CACHE=%q exec %q \"$@\"\n", path("cache"), fledge),
		"bazelrc": fmt.Sprintf("import %s\ncommon --experimental_downloader_config=%s --color=no --curses=no --noshow_progress\n"+
			"common --registry=file://%s --registry=https://bcr.bazel.build\n",
			filepath.Join(toolrun.Repository(), "e2e/smoke/.bazelrc"), path("downloader.cfg"), path("registry")),
		"registry/bazel_registry.json":                  "{}\n",
		"registry/modules/rules_oci/2.2.6/MODULE.bazel": string(read(t, filepath.Join(rulesOCI, "MODULE.bazel"))),
		"registry/modules/rules_oci/2.2.6/source.json":  fmt.Sprintf("{\"type\": \"local_path\", \"path\": %q}\n", rulesOCI),
		"downloader.cfg":  fmt.Sprintf("rewrite registry-1.docker.io/(.*) https://%s/$1\nblock auth.docker.io\n", secure.Addr),
		"registries.conf": fmt.Sprintf("[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = %q\ninsecure = true\n", open.Addr),
	} {
		if err := os.MkdirAll(filepath.Dir(path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k.env = []string{"PATH=" + path("bin") + ":" + path("programs") + ":" + os.Getenv("PATH"), "CONTAINERS_REGISTRIES_CONF=" + path("registries.conf"),
		"DOCKER_CONFIG=" + k.dir, "REGISTRY_AUTH_FILE=", "GITHUB_TOKEN=", "FLEDGE_BUILDKIT_MODE="}
	t.Cleanup(func() {
		if out, err := exec.Command(path("bin/bazel"), "shutdown").CombinedOutput(); err != nil {
			t.Errorf("bazel shutdown: %v\n%s", err, out)
		}
	})
}

// standInCommand has agentfetch ask the server of the test.
func (k *kit) standInCommand(command string) string {
	if !strings.Contains(command, "//tools/agentfetch -- ") {
		return command
	}
	return command + " --repository " + k.releases.Repository() + " --api-url " + k.releases.API()
}

// standInFile has the agent of a recipe come from there.
func (k *kit) standInFile(content string) string {
	const release = "source_strategy = \"release\"\n"
	return strings.ReplaceAll(content, release, release+fmt.Sprintf("repository = %q\n", k.releases.Repository()))
}

// pushBusybox makes an image of Debian's busybox as that of Docker Hub is made: one layer, all applets in /bin, the command sh.
func pushBusybox(t *testing.T, reference string) {
	t.Helper()
	program := read(t, busyboxProgram)
	applets, err := busybox.Applets(program)
	if err != nil {
		t.Fatal(err)
	}
	files := []imagetest.File{
		directory("bin/", 0o755), directory("etc/", 0o755), directory("home/", 0o755), directory("root/", 0o700), directory("tmp/", 0o1777),
		directory("var/", 0o755), directory("var/www/", 0o755),
		imagetest.Regular("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"),
		imagetest.Regular("etc/group", "root:x:0:\nnobody:x:65534:\n"),
		{Header: tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, Data: string(program)},
	}
	for _, applet := range applets {
		files = append(files, imagetest.File{Header: tar.Header{Name: "bin/" + filepath.Base(applet), Typeflag: tar.TypeLink, Linkname: "bin/busybox", Mode: 0o755}})
	}
	layer := imagetest.Tar(t, files...)
	push(t, reference, layer)
}

func directory(name string, mode int64) imagetest.File {
	return imagetest.File{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}}
}

// push pushes an image of one layer.
func push(t *testing.T, reference string, layer []byte) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	check(err)
	image, err := mutate.AppendLayers(empty.Image, l)
	check(err)
	config, err := image.ConfigFile()
	check(err)
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config = "linux", runtime.GOARCH, v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}}
	image, err = mutate.ConfigFile(image, config)
	check(err)
	tag, err := name.NewTag(reference)
	check(err)
	check(remote.Write(tag, image))
}
