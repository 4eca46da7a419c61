package dockerfiles

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// dockerfile is a Dockerfile with what it needs.
type dockerfile struct {
	name    string
	text    string
	context map[string]string // files by path; those in bin/ are programs
	ignore  string            // Dockerfile.dockerignore
	args    map[string]string // values of ARG
	labels  map[string]string
	target  string
	secrets map[string]string
	// buildah says that Debian's buildah knows the feature and means the same. It does not where hard links of a lower layer
	// are broken up, which is overlayfs' way, in EXPOSE of ranges, and in wildcards with brackets.
	buildah bool
}

// epoch is the time of new files.
const epoch = 1_000_000_000

// sources writes the Dockerfile and its context, as a checkout has them, to a new folder.
func (d dockerfile) sources(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]string{"Dockerfile": d.text}
	if d.ignore != "" {
		files["Dockerfile.dockerignore"] = d.ignore
	}
	for name, data := range d.context {
		files["context/"+name] = data
	}
	if err := os.Mkdir(filepath.Join(dir, "context"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		path, mode := filepath.Join(dir, name), os.FileMode(0o644)
		if strings.HasPrefix(name, "context/bin/") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// spec writes the list of the Dockerfile and its context, as the rule does.
func (d dockerfile) spec(t *testing.T) (file string) {
	t.Helper()
	dir := d.sources(t)
	var spec strings.Builder
	add := func(src, dest string, executable bool) {
		line, err := json.Marshal(map[string]any{"src": filepath.Join(dir, src), "dest": dest, "executable": executable})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&spec, "%s\n", line)
	}
	add("Dockerfile", "/dockerfile/Dockerfile", false)
	if d.ignore != "" {
		add("Dockerfile.dockerignore", "/dockerfile/Dockerfile.dockerignore", false)
	}
	for _, name := range slices.Sorted(maps.Keys(d.context)) {
		add("context/"+name, "/context/"+name, strings.HasPrefix(name, "bin/"))
	}
	file = filepath.Join(dir, "spec")
	if err := os.WriteFile(file, []byte(spec.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// options are those of Fledge's solve.
func (d dockerfile) options(t *testing.T, base baseImage) solve.Options {
	t.Helper()
	spec, err := os.Open(d.spec(t))
	if err != nil {
		t.Fatal(err)
	}
	defer spec.Close()
	files, err := mapping.ReadSpec(spec)
	if err != nil {
		t.Fatal(err)
	}
	o := solve.Options{
		Job: wire.Job{
			Dockerfile: "Dockerfile", Arch: runtime.GOARCH, Epoch: epoch, Target: d.target, BuildArgs: d.args, Labels: d.labels,
			Secrets: slices.Sorted(maps.Keys(d.secrets)),
		},
		Images:  []solve.BaseImage{{Refs: []string{baseRef}, Layout: base.layout}},
		Files:   files,
		Secrets: wire.Secrets{Secrets: map[string][]byte{}},
		Machine: solve.Machine{OutputMB: 1 << 10},
	}
	for id, value := range d.secrets {
		o.Secrets.Secrets[id] = []byte(value)
	}
	return o
}

// embedded solves with the guest's own BuildKit on this machine, in a mount namespace of its own.
func embedded(t *testing.T) *solve.Program {
	t.Helper()
	needRoot(t)
	state, err := os.MkdirTemp(workDir, "embedded-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	return &solve.Program{
		Path: "unshare", Args: []string{"--mount", "--propagation", "private", must(t, guest), "-embedded", state},
	}
}

// program asks a buildkitd.
func (d *daemon) program(t *testing.T) *solve.Program {
	t.Helper()
	return &solve.Program{Path: must(t, guest), Args: []string{"-addr", d.socket}}
}

// fledge builds the image with Fledge, and gives its layout and digest.
func fledge(t *testing.T, o solve.Options) (layout, digest string) {
	t.Helper()
	var log strings.Builder
	o.Event = solve.Plain(&log)
	layout = filepath.Join(t.TempDir(), "layout")
	res, err := solve.Solve(t.Context(), layout, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return layout, res.Digest
}

// buildctlBuild builds the image as BuildKit's own client does, with files where they lie, and gives its archive.
func (d *daemon) buildctlBuild(t *testing.T, base baseImage, f dockerfile) string {
	t.Helper()
	dir, archive := f.sources(t), filepath.Join(t.TempDir(), "image.tar")
	args := []string{
		"--addr", d.socket, "build", "--progress", "plain", "--frontend", "dockerfile.v0",
		"--local", "context=" + filepath.Join(dir, "context"), "--local", "dockerfile=" + dir,
		"--oci-layout", "base=" + base.layout, "--opt", "context:" + baseRef + "=oci-layout://base@" + base.digest,
		"--opt", "platform=linux/" + runtime.GOARCH, "--output", "type=oci,dest=" + archive,
	}
	if f.target != "" {
		args = append(args, "--opt", "target="+f.target)
	}
	for name, value := range f.args {
		args = append(args, "--opt", "build-arg:"+name+"="+value)
	}
	for name, value := range f.labels {
		args = append(args, "--opt", "label:"+name+"="+value)
	}
	for id, value := range f.secrets {
		file := filepath.Join(t.TempDir(), id)
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--secret", "id="+id+",src="+file)
	}
	run(t, dir, must(t, buildctl), args...)
	return archive
}
