package faults

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/registrytest"
)

// kit is what the tests have in common: programs, a registry with an image, and the same image as files.
type kit struct {
	dir, packer, fledge string
	agent               string // program
	layout              string // OCI layout
	layers              []string
	registry            string // host and port
}

// variables hand the kit to a test that runs in namespaces of its own.
const (
	kitVariable      = "FLEDGE_FAULTS_KIT"
	registryVariable = "FLEDGE_FAULTS_REGISTRY"
)

func newKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{dir: os.Getenv(kitVariable), registry: os.Getenv(registryVariable)}
	inherited := k.dir != ""
	if !inherited {
		k.dir = t.TempDir()
	}
	at := func(name string) string { return filepath.Join(k.dir, name) }
	k.packer, k.fledge, k.agent, k.layout = at("packer"), at("fledge"), at("init"), at("layout")
	if !inherited {
		k.build(t)
		k.makeImage(t)
		k.push(t)
	}
	var err error
	if k.layers, err = layers.Blobs(k.layout); err != nil {
		t.Fatal(err)
	}
	return k
}

// build builds packer, and the command with its payload. The init passes for the agent and for programs of machines, none
// of which anything boots here.
func (k *kit) build(t *testing.T) {
	t.Helper()
	at := func(name string) string { return filepath.Join(k.dir, name) }
	for pkg, out := range map[string]string{
		"./tools/packer": k.packer, "./tools/fledge": at("bare"), "./tools/fledge/mkdist": at("mkdist"), "./tools/init": k.agent,
	} {
		if err := toolrun.Build(".", pkg, out, "GOOS=linux", "GOARCH=amd64"); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--executable", at("bare"), "--go-sum", filepath.Join(toolrun.Repository(), "go.sum"), "--out", k.fledge}
	for _, arch := range []string{"amd64", "arm64"} {
		args = append(args, "--init-"+arch, k.agent, "--guest-"+arch, k.agent, "--fill-"+arch, k.agent)
	}
	harness.MustRun(t, at("mkdist"), args...)
}

// makeImage makes the image of two layers: large enough that a run takes a while, small enough for some hundred runs.
func (k *kit) makeImage(t *testing.T) {
	t.Helper()
	config := ocispec.ImageConfig{Entrypoint: []string{"/usr/bin/app"}}
	if err := layers.WriteLayout(k.layout, layers.Gzip, config, baseLayer, appLayer); err != nil {
		t.Fatal(err)
	}
}

func baseLayer(w *layers.Writer) error {
	err := addFile(w, "usr/lib/text", imagetest.Text(1, 1<<20))
	for i := range 20 {
		err = errors.Join(err, addFile(w, fmt.Sprintf("usr/lib/noise%d", i), imagetest.Noise(i, 40_000)))
	}
	return err
}

func appLayer(w *layers.Writer) error { return addFile(w, "usr/bin/app", imagetest.Noise(99, 100_000)) }

func addFile(w *layers.Writer, name, data string) error {
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data)), ModTime: time.Unix(1700000000, 0)}
	return w.Add(h, strings.NewReader(data))
}

// push starts a registry and gives it the image.
func (k *kit) push(t *testing.T) {
	t.Helper()
	k.registry = registrytest.StartOpen(t).Addr
	index, err := layout.ImageIndexFromPath(k.layout)
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(list.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(k.registry + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
}

// run is a run of a program.
type run struct {
	code   int // -1 when a signal ended it
	output string
}

// environment leaves out what the user has set for the command.
func environment(more ...string) []string {
	return append(append(os.Environ(), "FLEDGE_CACHE=", "DOCKER_CONFIG=/nonexistent", "GITHUB_TOKEN=", "LC_ALL=C"), more...)
}

func (k *kit) try(t *testing.T, args []string, env ...string) run {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment(env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return run{cmd.ProcessState.ExitCode(), string(out)}
}

func (k *kit) must(t *testing.T, args []string, env ...string) {
	t.Helper()
	if r := k.try(t, args, env...); r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), r.code, r.output)
	}
}

// contents gives the SHA-256 of all files below a folder, by their paths, and an empty text for folders.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || e.IsDir() {
			all[rel] = ""
			return err
		}
		data, err := os.ReadFile(path)
		all[rel] = digest(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// digest is the SHA-256, in hexadecimal.
func digest(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.TrimLeft([]byte(content), "\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
