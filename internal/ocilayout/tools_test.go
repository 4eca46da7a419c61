package ocilayout

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// run runs a tool of the machine and skips the test where it is missing.
func run(t *testing.T, tool string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(path, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
	}
}

func TestSkopeo(t *testing.T) {
	m := memory{}
	m.index(with(m.image("amd64", base, app), "annotations", object{refName: "latest"}))
	source := "oci:" + m.dir(t) + ":latest"
	for _, tt := range []struct {
		name string
		dest func(path string) []string
	}{
		{"docker-archive", func(p string) []string { return []string{"docker-archive:" + p + ":example.com/app:1"} }},
		{"oci-archive", func(p string) []string { return []string{"oci-archive:" + p} }},
		{"oci", func(p string) []string { return []string{"oci:" + p + ":latest"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			run(t, "skopeo", append([]string{"--insecure-policy", "--tmpdir", t.TempDir(), "copy", source}, tt.dest(path)...)...)
			if d := cmp.Diff([][]byte{base, app}, contents(t, path, "linux/amd64")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestUmoci(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	layer := writeFile(t, base)
	run(t, "umoci", "init", "--layout", dir)
	run(t, "umoci", "new", "--image", dir+":v1")
	run(t, "umoci", "config", "--image", dir+":v1", "--architecture", "amd64", "--os", "linux",
		"--config.entrypoint", "/bin/app", "--config.env", "A=b c", "--config.exposedports", "80/tcp",
		"--config.user", "1000:100", "--config.workingdir", "/srv")
	run(t, "umoci", "raw", "add-layer", "--image", dir+":v1", layer)
	if d := cmp.Diff([][]byte{base}, contents(t, dir, "linux/amd64")); d != "" {
		t.Error(d)
	}
	im, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	_, c := im.Config()
	want := Execution{User: "1000:100", ExposedPorts: map[string]struct{}{"80/tcp": {}}, WorkingDir: "/srv",
		Env: c.Config.Env, Entrypoint: []string{"/bin/app"}}
	if d := cmp.Diff(want, c.Config); d != "" {
		t.Error(d)
	}
	if env := c.Config.Env; len(env) == 0 || env[len(env)-1] != "A=b c" {
		t.Errorf("env %q", env)
	}
}

// compressed is an image for crane's writer.
type compressed struct {
	config []byte
	layers [][]byte // uncompressed
}

func (compressed) MediaType() (types.MediaType, error) { return types.DockerManifestSchema2, nil }
func (c compressed) RawConfigFile() ([]byte, error)    { return c.config, nil }
func (c compressed) LayerByDiffID(h v1.Hash) (partial.UncompressedLayer, error) {
	for _, l := range c.layers {
		if digestOf(l) == h.String() {
			return layerOf(l), nil
		}
	}
	return nil, os.ErrNotExist
}

type layerOf []byte

func (l layerOf) DiffID() (v1.Hash, error)             { return v1.NewHash(digestOf(l)) }
func (l layerOf) Uncompressed() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(l)), nil }
func (layerOf) MediaType() (types.MediaType, error)    { return types.DockerLayer, nil }

func TestCrane(t *testing.T) {
	config := toJSON(configFor("amd64", base, app))
	image, err := partial.UncompressedToImage(compressed{config, [][]byte{base, app}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(path, name.MustParseReference("example.com/app:1"), image); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]byte{base, app}, contents(t, path, "linux/amd64")); d != "" {
		t.Error(d)
	}
}
