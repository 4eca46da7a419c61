package command

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
)

// testRules has recipes built by the command and, after fledge migrate, by Bazel: the bytes are the same.
func (k *kit) testRules(t *testing.T) {
	// The init of the rules is built by Bazel, with the flags of a release: go build makes another one.
	own := *k
	own.fledge = filepath.Join(t.TempDir(), "fledge")
	k.makeDist(t, own.fledge, harness.Built(t, "//tools/bin:init"))
	k = &own
	w := harness.NewWorkspace(t, nil)
	outputs := map[string]string{} // of the command to of Bazel, below the workspace
	var targets []string
	for _, e := range examples {
		if _, ok := e.files["fledge.toml"]; !ok || e.alone != "" {
			continue // a Dockerfile alone is no recipe
		}
		pkg := strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(e.name), " ", "_"), ",", "")
		pkg = strings.ReplaceAll(pkg, "'", "")
		files := map[string]string{}
		for name, content := range e.files {
			files[name] = strings.ReplaceAll(content, kernelTable, "") // which is not in the folder of the recipe
		}
		dir := filepath.Join(w.Dir, pkg)
		if err := os.CopyFS(dir, os.DirFS(k.project(t, files))); err != nil {
			t.Fatal(err)
		}
		k.must(t, dir, "build")
		k.must(t, dir, "migrate", "--write")
		targets = append(targets, "//"+pkg+":all")
		for _, name := range e.outputs {
			made := strings.Replace(name, "web.manifest.json", strings.TrimSuffix(strings.TrimSuffix(e.outputs[0], ".img"), ".cpio.gz")+".manifest.json", 1)
			outputs[filepath.Join(pkg, name)] = filepath.Join("bazel-bin", pkg, made)
		}
	}
	w.Bazel(t, "build", targets...)
	for ours, bazels := range outputs {
		if got, want := digest(t, filepath.Join(w.Dir, bazels)), digest(t, filepath.Join(w.Dir, ours)); got != want {
			t.Errorf("%s is %s of Bazel, and %s of the command", ours, got, want)
		}
	}
}

func digest(t *testing.T, path string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(read(t, path)))
	return hex.EncodeToString(sum[:])
}
