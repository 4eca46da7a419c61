//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/manifest"
)

// files writes a kernel command line and, unless it is empty, a manifest file.
func files(t *testing.T, cmdline, manifest string) (cmdlineFile, manifestFile string) {
	t.Helper()
	dir := t.TempDir()
	cmdlineFile, manifestFile = filepath.Join(dir, "cmdline"), filepath.Join(dir, "manifest.json")
	if err := os.WriteFile(cmdlineFile, []byte(cmdline), 0o644); err != nil {
		t.Fatal(err)
	}
	if manifest != "" {
		if err := os.WriteFile(manifestFile, []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cmdlineFile, manifestFile
}

func encoded(t *testing.T, name string) string {
	t.Helper()
	value, err := manifest.EncodeCmdline(&manifest.Manifest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return "volant.manifest=" + value
}

func TestFindManifest(t *testing.T) {
	for _, tt := range []struct{ name, cmdline, file, want string }{
		{"on the command line", "console=ttyS0 " + encoded(t, "a") + " quiet\n", `{"name":"file"}`, "a"},
		{"the last one counts", encoded(t, "a") + " " + encoded(t, "b"), "", "b"},
		{"in the file", "console=ttyS0\n", `{"name":"file","unknown":1}`, "file"},
	} {
		m, err := findManifest(files(t, tt.cmdline, tt.file))
		if err != nil || m.Name != tt.want {
			t.Errorf("%s: manifest %+v, error %v", tt.name, m, err)
		}
	}
	for _, tt := range []struct{ name, cmdline, file, want string }{
		{"nowhere", "quiet", "", "no manifest: neither volant.manifest= on the kernel command line nor "},
		{"not base64", "volant.manifest=!", "{}", "illegal base64"},
		{"not JSON", "quiet", "{", "manifest.json: unexpected end of JSON input"},
	} {
		if _, err := findManifest(files(t, tt.cmdline, tt.file)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestCommand(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")) // command changes it
	m := &manifest.Manifest{
		Workload: manifest.Workload{Entrypoint: []string{"/bin/app", "-v"}, WorkDir: "/srv",
			Env: map[string]string{"A": "2"}},
		Env: map[string]string{"A": "1", "B": "1", "PATH": "/opt/bin"},
	}
	c, err := command(m)
	if err != nil {
		t.Fatal(err)
	}
	if c.Path != "/bin/app" || !slices.Equal(c.Args, []string{"/bin/app", "-v"}) || c.Dir != "/srv" {
		t.Errorf("command is %q %q in %q", c.Path, c.Args, c.Dir)
	}
	if want := []string{"A=2", "B=1", "HOME=/", "PATH=/opt/bin"}; !slices.Equal(c.Env, want) {
		t.Errorf("environment %q, want %q", c.Env, want)
	}
	if c.SysProcAttr.Credential != nil {
		t.Error("runs as another user without being told so")
	}
	if _, err := command(&manifest.Manifest{}); err == nil {
		t.Error("no error for a manifest without an entrypoint")
	}
}

func TestDialAddress(t *testing.T) {
	for base, want := range map[string]string{
		"http://localhost:8080":   "127.0.0.1:8080",
		"http://localhost/x":      "127.0.0.1:80",
		"https://10.0.2.15":       "10.0.2.15:443",
		"http://[::1]:8080/a?b=c": "[::1]:8080",
		"":                        "",
		"://":                     "",
	} {
		if got := dialAddress(base); got != want {
			t.Errorf("%s is reached at %q, want %q", base, got, want)
		}
	}
}
