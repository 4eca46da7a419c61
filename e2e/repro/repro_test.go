// Package repro builds the examples twice, in as different surroundings as a machine allows, and compares the outputs byte
// by byte.
package repro

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

// A root file system, an initramfs of the same image, each with its SBOM and provenance, the program with Go modules of its
// own, and an image, the folder of an OCI layout, from a Dockerfile.
var targets = []string{
	"//examples/hello:image", "//examples/initramfs:image", "//tools/guest", "//examples/dockerfile:site_oci",
}

// surroundings are what must not reach an output.
type surroundings struct {
	user   bool     // another user, without rights, and another home folder
	umask  string   // octal
	env    []string // NAME=value
	prefix []string // command in front of Bazel
	bazel  []string // flags of the build
	base   string   // name of the output base
}

func TestReproducible(t *testing.T) {
	harness.NeedSlow(t, "builds all tools from their sources without a cache")
	usual := surroundings{umask: "022", base: "a"}
	other := surroundings{
		user:  os.Geteuid() == 0,
		umask: "077",
		env:   []string{"TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "SOURCE_DATE_EPOCH=1", "GOAMD64=v3"},
		// Without another strategy an action that cannot run in the sandbox fails.
		bazel: []string{"-c", "opt", "--jobs=1", "--disk_cache=", "--spawn_strategy=linux-sandbox"},
		base:  "another-output-base/with/a/longer/path",
	}
	if _, err := exec.LookPath("taskset"); err == nil {
		other.prefix = []string{"taskset", "--cpu-list", "0"}
	}
	if !other.user {
		t.Run("another user", func(t *testing.T) { t.Skip("needs root: the second build runs as the same user") })
	}
	first, second := usual.build(t), other.build(t)
	if len(first) != 11 || !slices.Equal(names(first), names(second)) {
		t.Fatalf("outputs %q and %q, want eleven of the same names", names(first), names(second))
	}
	for i := range first {
		a, b := digest(t, first[i]), digest(t, second[i])
		t.Logf("%s %s", a, filepath.Base(first[i]))
		if a != b {
			t.Errorf("%s: the second build gave other bytes (%s)", filepath.Base(first[i]), b)
		}
	}
}

func names(paths []string) []string {
	var out []string
	for _, path := range paths {
		out = append(out, filepath.Base(path))
	}
	return out
}

// digest is that of a file, or of all files of a folder with their names.
func digest(t *testing.T, path string) string {
	t.Helper()
	h, size := sha256.New(), 0
	err := filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if file != path {
			fmt.Fprintf(h, "%q %d ", strings.TrimPrefix(file, path), len(data))
		}
		h.Write(data)
		size += len(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d bytes, sha256:%x", size, h.Sum(nil))
}

// script builds the targets and prints the paths of its outputs.
const script = `set -eu
umask "$UMASK"
cd "$REPOSITORY"
bazel() { "$REPOSITORY/bazelw" --output_base="$OUTPUT_BASE" "$@"; }
trap 'bazel shutdown' EXIT
FLAGS="$FLAGS --//fledge/settings:sbom --output_groups=+sbom,+provenance"
bazel build --symlink_prefix=/ $FLAGS "$@"
root=$(bazel info execution_root)
bazel cquery --output=files $FLAGS "set($*)" | sed "s|^|outputs: $root/|"
`

// open gives all users a way to the folders $PATHS, which are below $HIDDEN, a folder that only root may enter. It needs a
// mount namespace of its own.
const open = `set -eu
stage=$(mktemp -d)
i=0
for path in $PATHS; do
  i=$((i + 1))
  mkdir "$stage/$i"
  mount --bind "$path" "$stage/$i"
done
mount -t tmpfs -o mode=755 tmpfs "$HIDDEN"
i=0
for path in $PATHS; do
  i=$((i + 1))
  mkdir -p "$path"
  mount --move "$stage/$i" "$path"
  rmdir "$stage/$i"
done
rmdir "$stage"
exec "$@"
`

// build returns the paths of the targets' outputs.
func (s surroundings) build(t *testing.T) []string {
	t.Helper()
	dir := harness.NewFolder(t)
	base := filepath.Join(dir, s.base)
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	command := append(slices.Clone(s.prefix), "sh", "-c", script, "build")
	command = append(command, targets...)
	env := append(os.Environ(), "FLAGS="+strings.Join(s.bazel, " "), "UMASK="+s.umask, "REPOSITORY="+toolrun.Repository(), "OUTPUT_BASE="+base)
	env = append(env, s.env...)
	if s.user {
		command, env = asNobody(t, dir, command, env)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = env
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		text := log.String()
		t.Fatalf("%v\n%s", err, text[max(0, len(text)-8000):])
	}
	var paths []string
	for _, line := range strings.Split(string(out), "\n") {
		if path, ok := strings.CutPrefix(line, "outputs: "); ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// asNobody makes command one that runs as the user nobody, whose home folder is below dir.
func asNobody(t *testing.T, dir string, command, env []string) ([]string, []string) {
	t.Helper()
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "-R", "nobody", dir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v\n%s", err, out)
	}
	command = append([]string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"}, command...)
	env = append(env, setup(t)...)
	env = append(env, "HOME="+home, "USER=nobody", "LOGNAME=nobody", "XDG_CACHE_HOME="+filepath.Join(home, ".cache"))

	root, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Dir(filepath.Dir(dir))
	paths := []string{}
	for _, path := range []string{cache, toolrun.Repository()} {
		if strings.HasPrefix(path, root+"/") {
			paths = append(paths, path)
		}
	}
	if len(paths) > 0 {
		command = append([]string{"unshare", "--mount", "sh", "-c", open, "open"}, command...)
		env = append(env, "HIDDEN="+root, "PATHS="+strings.Join(paths, " "))
	}
	return command, env
}

// setup is what bazelw sets up for its own user, so that it need not do so for another.
func setup(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command(filepath.Join(toolrun.Repository(), "bazelw"), "--fledge-setup")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bazelw --fledge-setup: %v", err)
	}
	var env []string
	for _, line := range strings.Split(string(out), "\n") {
		line = strings.TrimPrefix(line, "export ")
		if name, value, ok := strings.Cut(line, "="); ok {
			env = append(env, name+"="+strings.Trim(value, "'"))
		}
	}
	return env
}
