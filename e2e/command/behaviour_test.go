package command

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// plain is a recipe of an image that needs nothing but the registry.
const plain = `version = "1"
strategy = "oci_rootfs"
[agent]
source_strategy = "local"
path = "kestrel"
[source]
image = "@REGISTRY@/moving:1"
[filesystem]
type = "squashfs"
compression_level = 1
`

func (k *kit) plainProject(t *testing.T) string {
	return k.project(t, map[string]string{"fledge.toml": plain, "manifest.toml": manifestOfImage, "kestrel": "KESTREL"})
}

// moving pushes an image whose second layer has one file, and gives its digest.
func (k *kit) moving(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return k.push(t, "moving:1", v1.Config{Entrypoint: []string{"/usr/bin/server"}},
		layerOf(t, map[string]string{"usr/bin/server": k.server}), layerOf(t, map[string]string{"etc/content": file}))
}

// result is the last line of --json.
type result struct {
	Event     string
	Artifacts []struct {
		Kind, Path, Digest string
		Size               int64
	}
	Layers []struct {
		Name     string
		Cached   bool
		PackSize int64 `json:"pack_size"`
	}
	Seconds float64
}

// build builds with --json and gives the result.
func (k *kit) buildJSON(t *testing.T, dir string, args ...string) result {
	t.Helper()
	r := k.must(t, dir, append([]string{"build", "--json"}, args...)...)
	var last result
	for line := range strings.Lines(r.stdout) {
		last = result{}
		if err := json.Unmarshal([]byte(line), &last); err != nil || last.Event == "" {
			t.Fatalf("%q is no event: %v", line, err)
		}
	}
	if last.Event != "result" || r.stderr != "" {
		t.Fatalf("it ends with %+v, and standard error has %q", last, r.stderr)
	}
	return last
}

// packed are the names of the layers that were packed anew.
func (r result) packed() (names []string) {
	for _, l := range r.Layers {
		if !l.Cached {
			names = append(names, l.Name)
		}
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testLock moves a tag under a recipe.
func (k *kit) testLock(t *testing.T) {
	dir := k.plainProject(t)
	lock := filepath.Join(dir, "fledge.lock")
	if r := k.try(t, dir, "build", "--locked"); r.code != 1 || !strings.Contains(r.stderr, "--locked: there is no") {
		t.Errorf("without a lock: exit code %d, %q", r.code, r.stderr)
	}
	before := k.moving(t, "before")
	first := k.buildJSON(t, dir)
	if text := read(t, lock); !strings.Contains(text, before) || !strings.Contains(text, "docker://"+k.registry+"/moving:1") {
		t.Errorf("the lock has not %s: %s", before, text)
	}
	after := k.moving(t, "after")
	again := k.buildJSON(t, dir, "--locked")
	if again.Artifacts[0].Digest != first.Artifacts[0].Digest {
		t.Error("the tag moved, and with it the locked image")
	}
	if r := k.must(t, dir, "update"); !strings.Contains(r.stdout, after+", was "+before) {
		t.Errorf("update says %q", r.stdout)
	}
	if text := read(t, lock); !strings.Contains(text, after) || strings.Contains(text, before) {
		t.Errorf("the lock was not renewed: %s", text)
	}
	if updated := k.buildJSON(t, dir, "--locked"); updated.Artifacts[0].Digest == first.Artifacts[0].Digest {
		t.Error("the lock was renewed, and the image is the old one")
	}
	recipe := strings.ReplaceAll(read(t, filepath.Join(dir, "fledge.toml")), "moving:1", "web:alpine")
	if err := os.WriteFile(filepath.Join(dir, "fledge.toml"), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := k.try(t, dir, "build", "--locked"); r.code != 1 || !strings.Contains(r.stderr, "/web:alpine is not in it; build without --locked") {
		t.Errorf("with another image: exit code %d, %q", r.code, r.stderr)
	}
}

// testAgain builds a second time: only what changed is packed.
func (k *kit) testAgain(t *testing.T) {
	dir := k.plainProject(t)
	k.moving(t, "one")
	first := k.buildJSON(t, dir)
	if again := k.buildJSON(t, dir); len(again.packed()) > 0 || again.Artifacts[0].Digest != first.Artifacts[0].Digest {
		t.Errorf("nothing changed, and %q were packed", again.packed())
	}
	k.moving(t, "two")
	k.must(t, dir, "update")
	if changed := k.buildJSON(t, dir); !slices.Equal(changed.packed(), []string{"layer 2 of 2"}) {
		t.Errorf("one layer changed, and %q were packed", changed.packed())
	}
}

// testLocalImages takes the same image from where skopeo puts it.
func (k *kit) testLocalImages(t *testing.T) {
	k.moving(t, "local")
	dir := k.plainProject(t)
	want := k.buildJSON(t, dir)
	source := "docker://" + k.registry + "/moving:1"
	recipe := read(t, filepath.Join(dir, "fledge.toml"))
	for to, reference := range map[string]string{
		"oci:layout:v1": "oci:layout:v1", "oci-archive:image.tar": "oci-archive:image.tar", "docker-archive:saved.tar": "docker-archive:saved.tar",
	} {
		copied := exec.Command("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", source, to)
		copied.Dir = dir
		if out, err := copied.CombinedOutput(); err != nil {
			t.Fatalf("skopeo: %v\n%s", err, out)
		}
		text := strings.ReplaceAll(recipe, k.registry+"/moving:1", reference)
		if err := os.WriteFile(filepath.Join(dir, "local.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got := k.buildJSON(t, dir, "--config", "local.toml", "--manifest", "manifest.toml")
		if got.Artifacts[0].Digest != want.Artifacts[0].Digest {
			t.Errorf("%s gives %s, the registry's image %s", reference, got.Artifacts[0].Digest, want.Artifacts[0].Digest)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "layout")); err != nil {
		t.Fatal(err)
	}
}

// testInterrupt ends builds while they work: what was there before stays, and nothing else is left.
func (k *kit) testInterrupt(t *testing.T) {
	dir := k.project(t, map[string]string{
		"Dockerfile": "FROM @REGISTRY@/base:1\nRUN sleep 1000\n", "kestrel": "KESTREL", "sub/app.img": "before",
	})
	before := names(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := k.command(ctx, dir, "build", "Dockerfile", "--agent", "./kestrel", "--output", "sub/app", "--progress", "plain")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	sent := false
	for s := bufio.NewScanner(stderr); s.Scan(); {
		said = append(said, s.Text())
		if !sent && strings.Contains(s.Text(), "RUN sleep 1000") {
			sent = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); !sent || code != 1 || !strings.Contains(said[len(said)-1], "interrupted, and nothing is made") {
		t.Errorf("exit code %d, and it says\n%s", code, strings.Join(said, "\n"))
	}
	if after := names(t, dir); !slices.Equal(after, before) {
		t.Errorf("files %q, before %q", after, before)
	}
	if text := read(t, filepath.Join(dir, "sub/app.img")); text != "before" {
		t.Errorf("the old image is %q", text)
	}
}

// names lists all files below a folder.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// testErrors makes nothing of what is wrong, and says so.
func (k *kit) testErrors(t *testing.T) {
	dir := k.plainProject(t)
	k.moving(t, "x")
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(k.fill(content)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("typo.toml", strings.ReplaceAll(plain, "compression_level", "compresion_level"))
	write("gone.toml", strings.ReplaceAll(plain, "moving:1", "gone:1"))
	write("noagent.toml", strings.ReplaceAll(plain, `"kestrel"`, `"nowhere"`))
	write("port.toml", "name = \"web\"\nversion = \"1\"\n[network]\nexpose = [{ port = 0 }]\n")
	before := names(t, dir)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"build", "--config", "typo.toml"}, 1, `typo.toml:10:1: unknown key "compresion_level" in [filesystem]; did you mean "compression_level"?`},
		{[]string{"build", "--config", "missing.toml"}, 1, "missing.toml: no such file or directory; --config names another recipe"},
		{[]string{"build", "--config", "gone.toml"}, 1, "gone"},
		{[]string{"build", "--config", "noagent.toml"}, 1, "nowhere: no such file"},
		{[]string{"build", "--manifest", "port.toml"}, 1, "port.toml:4:"},
		{[]string{"build", "--manifest", "missing.toml"}, 1, "missing.toml: no such file"},
		{[]string{"build", "Dockerfile"}, 1, "Dockerfile: no such file"},
		{[]string{"build", "--target", "x"}, 2, "--target is for fledge build DOCKERFILE"},
		{[]string{"build", "a", "b"}, 2, "build takes one Dockerfile"},
		{[]string{"build", "--arch", "mips"}, 2, "it is amd64 or arm64"},
		{[]string{"build", "--nonsense"}, 2, "unknown flag: --nonsense"},
		{[]string{"build", "--output", "dist/"}, 2, "give a name"},
		{[]string{"build", "--network"}, 2, "has no Dockerfile"},
		{[]string{"nonsense"}, 2, `no command "nonsense"`},
		{[]string{"update", "a", "b"}, 2, "update takes one Dockerfile"},
	} {
		r := k.try(t, dir, c.args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || !strings.HasPrefix(r.stderr[strings.LastIndex(r.stderr, "fledge: "):], "fledge: ") {
			t.Errorf("%q: exit code %d, want %d, %q, want %q", c.args, r.code, c.code, r.stderr, c.want)
		}
	}
	if after := names(t, dir); !slices.Equal(after, before) {
		t.Errorf("files %q, before %q", after, before)
	}
}
