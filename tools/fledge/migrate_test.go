package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
)

// runMigrate runs fledge migrate, and gives what it prints on both outputs.
func runMigrate(args ...string) (stdout, stderr string, err error) {
	root := newRoot()
	var out, notes bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&notes)
	root.SetArgs(append([]string{"migrate"}, args...))
	err = root.Execute()
	return out.String(), notes.String(), err
}

// putFiles writes files below a folder.
func putFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestMigrate(t *testing.T) {
	workspace := t.TempDir()
	dir := filepath.Join(workspace, "images", "web")
	putFiles(t, dir, map[string]string{
		"fledge.toml": "version = \"1\"\nstrategy = \"oci_rootfs\"\n[agent]\nsource_strategy = \"local\"\npath = \"kestrel\"\n" +
			"[source]\nimage = \"nginx:alpine\"\n[filesystem]\n",
		"fledge.lock": "version = 1\n[[image]]\nreference = \"docker://docker.io/library/nginx:alpine\"\ndigest = \"sha256:" +
			strings.Repeat("a", 64) + "\"\n",
		"manifest.toml": "name = \"web\"\nversion = \"1\"\n", "kestrel": "",
	})
	recipe := filepath.Join(dir, "fledge.toml")
	targets, notes, err := runMigrate(recipe)
	if err != nil || !strings.Contains(targets, "\n    image = \"@nginx_alpine\",\n") {
		t.Fatalf("%s\n%v", targets, err)
	}
	module, nothing, err := runMigrate("--module", recipe)
	if err != nil || nothing != "" || !strings.Contains(module, "\nuse_repo(fledge, \"nginx_alpine\")\n") {
		t.Fatalf("%s\n%s\n%v", module, nothing, err)
	}
	_, hint, _ := strings.Cut(notes, "\n#\n")
	if plain := strings.ReplaceAll(strings.ReplaceAll("\n"+hint, "\n# ", "\n"), "\n#\n", "\n\n")[1:]; plain != module {
		t.Errorf("the hint is\n%s\nwant\n%s", hint, module)
	}

	// In a workspace, its MODULE.bazel is the one to edit.
	putFiles(t, workspace, map[string]string{"MODULE.bazel": "module(name = \"mine\")\n"})
	putFiles(t, dir, map[string]string{"BUILD": "# Mine.\n"})
	for range 2 {
		if _, _, err := runMigrate("--write", recipe); err != nil {
			t.Fatal(err)
		}
		if got := fileText(t, filepath.Join(dir, "BUILD")); got != "# Mine.\n\n"+targets {
			t.Errorf("BUILD is\n%s", got)
		}
		if got := fileText(t, filepath.Join(workspace, "MODULE.bazel")); got != "module(name = \"mine\")\n\n"+module {
			t.Errorf("MODULE.bazel is\n%s", got)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 5 {
		t.Errorf("the folder has %v", list)
	}
}

// TestMigrateAlone has a recipe that is in no workspace, and leaves nothing behind when it cannot go over.
func TestMigrateAlone(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	putFiles(t, dir, map[string]string{"fledge.toml": "version = \"1\"\nstrategy = \"initramfs\"\n[init]\nnone = true\n"})
	_, _, err := runMigrate("--write")
	if err == nil || !strings.Contains(err.Error(), "fledge.toml: there is no manifest.toml") {
		t.Errorf("error %v", err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left behind: %v", list)
	}
	putFiles(t, dir, map[string]string{"run.toml": "name = \"web\"\nversion = \"1\"\n"})
	if _, _, err := runMigrate("--write", "--manifest", "run.toml"); err != nil {
		t.Fatal(err)
	}
	if got := fileText(t, "MODULE.bazel"); got != "bazel_dep(name = \"fledge\", version = \"0.1.0\")\n" {
		t.Errorf("MODULE.bazel is\n%s", got)
	}
	if got := fileText(t, "BUILD.bazel"); !strings.Contains(got, "manifest = \"run.toml\"") {
		t.Errorf("BUILD.bazel is\n%s", got)
	}
}

func TestMigrateUsage(t *testing.T) {
	for _, args := range [][]string{{"a", "b"}, {"--module", "--write"}, {"--nothing"}} {
		if _, _, err := runMigrate(args...); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, _, err := runMigrate(filepath.Join(t.TempDir(), "none.toml")); cli.ExitCode(err) != cli.ExitError {
		t.Errorf("no recipe: %v", err)
	}
}
