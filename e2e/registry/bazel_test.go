package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// consumer is a workspace that uses Fledge as its users do, and the Bazel that builds it.
type consumer struct {
	bazel      string
	startup    []string // startup options, the same in every run so that the server stays
	dir        string
	outputBase string
	cache      string // the repository cache
	config     string // DOCKER_CONFIG
}

// findBazel gives the Bazel to test with: $BAZEL, or the project's own launcher.
func findBazel(t *testing.T) string {
	t.Helper()
	if bazel := os.Getenv("BAZEL"); bazel != "" {
		return bazel
	}
	bazelw, err := filepath.Abs("../../bazelw")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bazelw); err != nil {
		t.Skipf("no Bazel: BAZEL is not set and %v", err)
	}
	return bazelw
}

const describeRule = `"""A rule that writes what an image gives to other rules."""

load("@fledge//fledge:defs.bzl", "FledgeLayersInfo")

def _describe_impl(ctx):
    info = ctx.attr.image[FledgeLayersInfo]
    out = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(out, json.encode({
        "config": info.config.path,
        "layers": [{"digest": l.digest, "mediaType": l.media_type, "path": l.file.path} for l in info.layers],
    }))
    return [DefaultInfo(files = depset([out], transitive = [ctx.attr.image[DefaultInfo].files]))]

describe = rule(
    implementation = _describe_impl,
    attrs = {"image": attr.label(providers = [FledgeLayersInfo])},
)
`

// newConsumer makes the workspace. The declarations go into MODULE.bazel, and a target NAME_info describes each image.
func newConsumer(t *testing.T, startup []string, downloader string, names, declarations []string) *consumer {
	t.Helper()
	fledge, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	c := &consumer{
		bazel:      findBazel(t),
		startup:    startup,
		dir:        filepath.Join(root, "workspace"),
		outputBase: filepath.Join(root, "out"),
		cache:      filepath.Join(root, "cache"),
		config:     filepath.Join(root, "docker"),
	}
	module := fmt.Sprintf("module(name = \"consumer\")\n\nbazel_dep(name = \"fledge\", version = \"0.1.0\")\n"+
		"local_path_override(\n    module_name = \"fledge\",\n    path = %q,\n)\n\n"+
		"fledge = use_extension(\"@fledge//fledge:extensions.bzl\", \"fledge\")\n%s\nuse_repo(fledge, %s)\n",
		fledge, strings.Join(declarations, "\n"), quoted(names))
	build := "load(\":describe.bzl\", \"describe\")\n"
	for _, name := range names {
		build += fmt.Sprintf("\ndescribe(\n    name = %q,\n    image = %q,\n)\n", name+"_info", "@"+name)
	}
	for name, content := range map[string]string{
		"BUILD.bazel":    build,
		"MODULE.bazel":   module,
		"describe.bzl":   describeRule,
		"downloader.cfg": downloader,
	} {
		writeFile(t, filepath.Join(c.dir, name), content, 0o644)
	}
	t.Cleanup(func() { c.close(t) })
	return c
}

func quoted(names []string) string {
	var q []string
	for _, name := range names {
		q = append(q, fmt.Sprintf("%q", name))
	}
	return strings.Join(q, ", ")
}

func writeFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// elsewhere is the same workspace with an output base of its own, which knows nothing yet.
func (c *consumer) elsewhere(t *testing.T) *consumer {
	t.Helper()
	other := *c
	other.outputBase = filepath.Join(t.TempDir(), "out")
	t.Cleanup(func() { other.close(t) })
	return &other
}

// close ends the server and removes the output base, whose read-only folders t.TempDir could not remove.
func (c *consumer) close(t *testing.T) {
	if _, err := os.Stat(c.outputBase); err != nil {
		return
	}
	if output, err := c.command("clean", "--expunge").CombinedOutput(); err != nil {
		t.Errorf("bazel clean --expunge: %v\n%s", err, output)
	}
}

func (c *consumer) command(command string, args ...string) *exec.Cmd {
	all := append(append([]string{}, c.startup...), "--output_base="+c.outputBase, command)
	if command != "clean" {
		// On the command line, where they win over the configuration of the machine's Bazel. Two attempts show that Bazel
		// tries again, and do not take the 13 seconds of its usual eight.
		all = append(all, "--repository_cache="+c.cache, "--experimental_downloader_config=downloader.cfg",
			"--http_connector_attempts=2", "--lockfile_mode=off", "--noshow_progress", "--color=no", "--curses=no")
	}
	cmd := exec.Command(c.bazel, append(all, args...)...)
	cmd.Dir = c.dir
	// No credentials but the test's own; loopback past any proxy.
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+c.config, "REGISTRY_AUTH_FILE=", "XDG_RUNTIME_DIR=",
		"PATH="+filepath.Join(c.config, "bin")+":"+os.Getenv("PATH"),
		"no_proxy=127.0.0.1,0.0.0.0", "NO_PROXY=127.0.0.1,0.0.0.0")
	return cmd
}

// run runs Bazel and gives what it printed to standard output, and to standard error.
func (c *consumer) run(command string, args ...string) (stdout, stderr string, err error) {
	cmd := c.command(command, args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.String(), log.String(), err
}

func (c *consumer) mustRun(t *testing.T, command string, args ...string) string {
	t.Helper()
	stdout, stderr, err := c.run(command, args...)
	if err != nil {
		t.Fatalf("bazel %s %q: %v\n%s", command, args, err, stderr)
	}
	return stdout
}

// mustFail builds an image that cannot be had and checks that Bazel's output has all the parts. It gives the output.
func (c *consumer) mustFail(t *testing.T, name string, parts []string, args ...string) string {
	t.Helper()
	_, stderr, err := c.run("build", append([]string{"@" + name}, args...)...)
	if err == nil {
		t.Fatalf("bazel build @%s succeeded\n%s", name, stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("bazel build @%s: no %q in\n%s", name, part, stderr)
		}
	}
	return stderr
}

// mustHave builds an image and checks that its files and what it says of them are the image that was pushed.
func (c *consumer) mustHave(t *testing.T, name string, want image, args ...string) {
	t.Helper()
	c.mustRun(t, "build", append([]string{"//:" + name + "_info", "@" + name}, args...)...)
	var got struct {
		Config string
		Layers []struct{ Digest, MediaType, Path string }
	}
	data, err := os.ReadFile(filepath.Join(c.dir, "bazel-bin", name+"_info.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	same := func(what, path string, want blob) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(c.outputBase, path)) // external/REPOSITORY/…
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(data, want.data) {
			t.Errorf("@%s: %s %s is not what was pushed", name, what, path)
		}
	}
	same("config", got.Config, want.config)
	if len(got.Layers) != len(want.layers) {
		t.Fatalf("@%s: %d layers, want %d", name, len(got.Layers), len(want.layers))
	}
	for i, l := range got.Layers {
		w := want.layers[i]
		if l.Digest != w.digest() || l.MediaType != w.mediaType {
			t.Errorf("@%s: layer %d is %s %s, want %s %s", name, i, l.MediaType, l.Digest, w.mediaType, w.digest())
		}
		same("layer", l.Path, w)
	}
}
