package pull

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/registrytest"
)

const (
	user     = registrytest.User
	password = registrytest.Password
	amd64    = "linux/amd64"
)

// isolate gives a test an environment without the host's credentials, mirrors and daemons, and gives its HOME.
func isolate(t testing.TB) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_HOST"} {
		t.Setenv(name, "") // so that it comes back
		os.Unsetenv(name)
	}
	write(t, filepath.Join(home, "registries.conf"), "")
	t.Setenv("CONTAINERS_REGISTRIES_CONF", filepath.Join(home, "registries.conf"))
	return home
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newClient is a client in a hurry, with a cache of its own; notes are what it told.
func newClient(t *testing.T) (c *Client, notes *strings.Builder) {
	t.Helper()
	notes = &strings.Builder{}
	return &Client{
		Cache:  t.TempDir(),
		Pauses: []time.Duration{time.Millisecond, time.Millisecond},
		Stall:  20 * time.Second,
		Note:   func(m string) { notes.WriteString(m + "\n") },
	}, notes
}

func mustParse(t *testing.T, s string) Reference {
	t.Helper()
	r, err := ParseReference(s, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustPull(t *testing.T, c *Client, ref, digest, platform string) *Image {
	t.Helper()
	im, err := c.Pull(t.Context(), mustParse(t, ref), digest, platform)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

// mustFail pulls an image that cannot be had, and wants these words in the error.
func mustFail(t *testing.T, c *Client, ref, digest, platform string, words ...string) {
	t.Helper()
	im, err := c.Pull(t.Context(), mustParse(t, ref), digest, platform)
	if err == nil {
		im.Close()
		t.Fatalf("%s: no error", ref)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in\n%v", w, err)
		}
	}
	if strings.Contains(err.Error(), password) {
		t.Errorf("the password is in\n%v", err)
	}
}

// randomImage makes an image for an architecture whose layers have about so many bytes each.
func randomImage(t testing.TB, architecture string, size int64, layers int) v1.Image {
	t.Helper()
	im := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for range layers {
		layer, err := random.Layer(size, types.OCILayer)
		if err != nil {
			t.Fatal(err)
		}
		if im, err = mutate.AppendLayers(im, layer); err != nil {
			t.Fatal(err)
		}
	}
	config, err := im.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config.Entrypoint = []string{"/app"}
	if im, err = mutate.ConfigFile(im, config); err != nil {
		t.Fatal(err)
	}
	return im
}

// newIndex makes an index of images by architecture.
func newIndex(t *testing.T, images ...v1.Image) v1.ImageIndex {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, im := range images {
		config, err := im.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: im, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: config.Architecture},
		}})
	}
	return index
}

// newLayout writes an OCI layout with what is tagged "test".
func newLayout(t *testing.T, what mutate.Appendable) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	tag := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "test"})
	switch what := what.(type) {
	case v1.Image:
		err = path.AppendImage(what, tag)
	case v1.ImageIndex:
		err = path.AppendIndex(what, tag)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func digestOfImage(t *testing.T, what interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func skopeo(t *testing.T, args ...string) string {
	t.Helper()
	imagetest.Need(t, "skopeo")
	return imagetest.Run(t, "skopeo", append([]string{"--insecure-policy", "--tmpdir", t.TempDir()}, args...)...)
}

// registry is a running docker-registry.
type registry struct{ *registrytest.Server }

// startRegistry runs one, with a password if auth says so.
func startRegistry(t *testing.T, auth bool) *registry {
	t.Helper()
	imagetest.Need(t, "skopeo")
	if auth {
		return &registry{registrytest.StartWithPassword(t)}
	}
	return &registry{registrytest.StartOpen(t)}
}

// startProgram runs a server on a socket until the test ends, and waits until it listens. Fail is told when it cannot.
func startProgram(t *testing.T, fail func(format string, args ...any), socket, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			fail("%s does not run here: %s", name, &log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s: %v", name, socket, err)
		}
	}
}

// push has skopeo push an image or an index, and gives the reference.
func (r *registry) push(t *testing.T, name string, what mutate.Appendable) string {
	t.Helper()
	args := []string{"copy", "--all", "--dest-tls-verify=false"}
	if r.Auth {
		args = append(args, "--dest-creds", user+":"+password)
	}
	skopeo(t, append(args, "oci:"+newLayout(t, what)+":test", "docker://"+r.Addr+"/"+name)...)
	return r.Addr + "/" + name
}

// checkLayers reads an image's layers and compares them with what they were made of.
func checkLayers(t *testing.T, im *Image, want v1.Image) {
	t.Helper()
	layers, err := want.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(im.Layers) != len(layers) {
		t.Fatalf("%d layers, want %d", len(im.Layers), len(layers))
	}
	for i, l := range layers {
		unpacked, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(unpacked)
		if err != nil {
			t.Fatal(err)
		}
		if got := readLayer(t, im.Layers[i]); !bytes.Equal(got, data) {
			t.Errorf("layer %d: has %d bytes, want %d", i, len(got), len(data))
		}
		if im.Layers[i].DiffID != digestOf(data) {
			t.Errorf("layer %d: diff ID %s", i, im.Layers[i].DiffID)
		}
	}
	config, err := os.ReadFile(im.ConfigFile)
	if err != nil || !bytes.Equal(config, im.RawConfig) {
		t.Errorf("config file: %v", err)
	}
	if got := im.Config.Config.Entrypoint; len(got) != 1 || got[0] != "/app" {
		t.Errorf("entrypoint %q", got)
	}
}

// readLayer reads a layer to its verified end, uncompressed.
func readLayer(t *testing.T, l Layer) []byte {
	t.Helper()
	r, err := l.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return data
}

// noNetwork fails a test that asks a registry.
type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	n.t.Errorf("asked %s", req.URL)
	return nil, context.Canceled
}
