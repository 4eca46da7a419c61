package build

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/agent/agenttest"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/tools/fledge/internal/fetch"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/naming"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// archs are those that images are for.
var archs = []string{"amd64", "arm64"}

// kit is a project in a folder, with a server of agents. Its programs are stand-ins: files that pass for programs of an
// architecture, and which nothing runs here.
type kit struct {
	t        *testing.T
	dir      string
	cache    string
	payload  *payload.Payload
	releases *agenttest.Server
	said     bytes.Buffer // what the last build said
}

func newKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{t: t, dir: t.TempDir(), cache: t.TempDir()}
	k.releases = agenttest.New(t, release("v1"))
	source := payload.Source{Programs: map[string]string{}, GoSum: filepath.Join(t.TempDir(), "go.sum")}
	writeFile(t, source.GoSum, "")
	for _, arch := range archs {
		file := filepath.Join(t.TempDir(), "init")
		writeFile(t, file, string(program(arch, 1000)))
		source.Programs["init-"+arch] = file
		k.write("kestrel-"+arch, string(program(arch, 2000)))
	}
	var b bytes.Buffer
	if err := payload.Write(&b, 0, source); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "payload")
	writeFile(t, file, b.String())
	p, err := payload.OpenFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	k.payload = p
	return k
}

// program passes for a program of an architecture: it is the header of one.
func program(arch string, size int) []byte {
	p := agenttest.Program(arch, size)
	p[20], p[52], p[54], p[58] = 1, 64, 56, 64 // version; sizes of the headers
	return p
}

// release is one of agents, with a busybox for each architecture.
func release(tag string) *agenttest.Release {
	r := &agenttest.Release{Tag: tag, Files: map[string][]byte{}}
	for i, arch := range archs {
		r.Files[agent.Assets[arch]] = append(program(arch, 3000+i), tag...)
		applets := "\x00" + strings.Join([]string{"[", "ash", "cat", "cp", "echo", "ls", "mount", "ps", "sed", "sh"}, "\x00") + "\x00"
		r.Files["busybox-"+arch] = append(program(arch, 500), applets...)
	}
	return r
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// write writes a file of the project. @REPOSITORY@ and @FILES@ in it stand for the server.
func (k *kit) write(name, content string) {
	k.t.Helper()
	writeFile(k.t, filepath.Join(k.dir, name), content)
}

func (k *kit) read(name string) string {
	k.t.Helper()
	b, err := os.ReadFile(filepath.Join(k.dir, name))
	if err != nil {
		k.t.Fatal(err)
	}
	return string(b)
}

// files are the names of all files and folders of the project, without those of layouts.
func (k *kit) files() (names []string) {
	k.t.Helper()
	err := filepath.WalkDir(k.dir, func(path string, _ os.DirEntry, err error) error {
		if !strings.Contains(path, "/blobs") {
			names = append(names, strings.TrimPrefix(path, k.dir))
		}
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return names
}

// layout writes an OCI layout with an image for each architecture, or for one only, whose upper layer has /etc/content.
func (k *kit) layout(name, content string, only ...string) {
	k.t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, arch := range archs {
		if len(only) > 0 && arch != only[0] {
			continue
		}
		base := layerOf(k.t, map[string]string{"usr/bin/server": string(program(arch, 5000))})
		image, err := mutate.AppendLayers(empty.Image, base, layerOf(k.t, map[string]string{"etc/content": content}))
		if err != nil {
			k.t.Fatal(err)
		}
		file, err := image.ConfigFile()
		if err != nil {
			k.t.Fatal(err)
		}
		file = file.DeepCopy()
		file.OS, file.Architecture = "linux", arch
		file.Config = v1.Config{Entrypoint: []string{"/usr/bin/server"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}}}
		if image, err = mutate.ConfigFile(image, file); err != nil {
			k.t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	dir := filepath.Join(k.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		k.t.Fatal(err)
	}
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendIndex(index)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// layerOf is a layer of files, which are executable.
func layerOf(t *testing.T, files map[string]string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for path, content := range files {
		h := tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(1700000000, 0)}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// options are those of a build of a recipe, which is written to fledge.toml.
func (k *kit) options(toml string) Options {
	k.t.Helper()
	file := filepath.Join(k.dir, "fledge.toml")
	toml = strings.NewReplacer("@REPOSITORY@", k.releases.Repository(), "@FILES@", k.releases.URL+"/team/volant/releases/download/v1").Replace(toml)
	k.write("fledge.toml", toml)
	r, err := recipe.Parse(file, []byte(toml))
	if err != nil {
		k.t.Fatal(err)
	}
	names := naming.Of("app", k.dir)
	if r.Source.Image != "" && r.Strategy == recipe.OCIRootfs {
		names = naming.OfImage(r.Source.Image)
	}
	k.said.Reset()
	u := ui.New(io.Discard, &k.said, ui.Plain)
	return Options{
		Recipe: r, ManifestFile: "manifest.toml", Manifest: []byte(manifestTOML), Arch: "amd64",
		Dir: filepath.Join(k.dir, "out"), Name: names.Image, ManifestName: names.Manifest,
		LockFile: filepath.Join(k.dir, lockfile.Name),
		Cache:    k.cache, Program: "this", Payload: k.payload, Pull: &pull.Client{Cache: k.cache},
		Fetch: &fetch.Client{Cache: k.cache, Remote: agent.Client{Transport: http.DefaultTransport, API: k.releases.API(), Stall: 10 * time.Second}},
		UI:    u,
	}
}

// run builds, for the machine arch.
func (k *kit) run(toml, arch string, change ...func(*Options)) (*Result, error) {
	k.t.Helper()
	o := k.options(toml)
	o.Arch = arch
	for _, c := range change {
		c(&o)
	}
	return Run(k.t.Context(), o)
}

func (k *kit) must(toml, arch string, change ...func(*Options)) *Result {
	k.t.Helper()
	r, err := k.run(toml, arch, change...)
	if err != nil {
		k.t.Fatalf("%v\n%s", err, k.said.String())
	}
	return r
}

// fails builds, which must fail with all of the words.
func (k *kit) fails(toml, arch string, change func(*Options), words ...string) {
	k.t.Helper()
	o := k.options(toml)
	o.Arch = arch
	change(&o)
	before := k.files()
	_, err := Run(k.t.Context(), o)
	if err == nil {
		k.t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			k.t.Errorf("error %v, want %q", err, w)
		}
	}
	if after := k.files(); !slices.Equal(after, before) {
		k.t.Errorf("files %q, before %q", after, before)
	}
}

func locked(o *Options) { o.Locked = true }

const manifestTOML = "name = \"app\"\nversion = \"1.0.0\"\n[workload]\nentrypoint = [\"/usr/bin/server\"]\n[network]\nexpose = [{ port = 8080 }]\n"

// rootfs is a recipe of an image and an agent.
func rootfs(image, agent string) string {
	return fmt.Sprintf("version = \"1\"\nstrategy = \"oci_rootfs\"\n[agent]\n%s[source]\nimage = %q\n[filesystem]\ncompression_level = 1\n", agent, image)
}

// Agents of recipes.
const (
	latest  = "source_strategy = \"release\"\nversion = \"latest\"\nrepository = \"@REPOSITORY@\"\n"
	localOf = "source_strategy = \"local\"\npath = \"kestrel-%s\"\n"
)

func local(arch string) string { return fmt.Sprintf(localOf, arch) }
