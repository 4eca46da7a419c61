// Package bazelw tests which Bazel the launcher chooses, with programs that only say that they are one.
package bazelw

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a PATH with the programs of the host's PATH that scripts need, and whatever a test adds.
type machine struct {
	bin, cache string
	env        []string // further variables
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if _, err := os.Stat("../../bazelw"); err != nil {
		t.Skip("bazelw is not among this test's files under Bazel; go test runs it")
	}
	// The launcher refuses /tmp, where a test's folders are, but not when it is spelled like this.
	m := &machine{bin: t.TempDir(), cache: "/." + t.TempDir()}
	const programs = "bash cat cut dirname find grep head mkdir mv sed sh sha256sum sort stat tail timeout uname"
	for _, name := range strings.Fields(programs) {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("the launcher needs %s: %v", name, err)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.add(t, "qemu-system-x86_64", "")
	return m
}

// add puts a shell script on the PATH.
func (m *machine) add(t *testing.T, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// addBazel puts a program on the PATH that answers --version, notes that it was asked, and else prints its arguments.
func (m *machine) addBazel(t *testing.T, name, version string) {
	t.Helper()
	m.add(t, name, fmt.Sprintf(`[ "$1" = --version ] || { echo "%[1]s ran: $*"; exit; }
echo asked >>"%[2]s/asked"
echo "%[3]s"
`, name, m.bin, version))
}

func (m *machine) run(program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append([]string{
		"PATH=" + m.bin, "HOME=" + m.cache, "FLEDGE_CACHE=" + m.cache, "FLEDGE_KERNEL_BZIMAGE=/dev/null",
	}, m.env...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestHostBazel(t *testing.T) {
	tests := []struct {
		version string
		works   bool
	}{
		{"bazel 7.7.0", true},
		{"bazel 7.10.2", true},
		{"bazel 8.0.0- (@abc)", true},
		{"bazel 10.1.0rc1", true},
		{"bazel 7.6.9", false},
		{"bazel 6.5.0", false},
		{"bazel no_version", false},
		{"could not download Bazel: no such host", false},
	}
	for _, tt := range tests {
		t.Run(tt.version, func(t *testing.T) {
			m := newMachine(t)
			m.addBazel(t, "bazel", tt.version)
			out, err := m.run("../../tools/bootstrap/host-bazel.sh", m.cache)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if path := filepath.Join(m.bin, "bazel"); tt.works && out != path {
				t.Errorf("got %q, want %q", out, path)
			} else if !tt.works && !strings.Contains(out, "not used") {
				t.Errorf("got %q, want a message that it is not used", out)
			}
		})
	}
}

func TestHostBazelIsAskedOnce(t *testing.T) {
	m := newMachine(t)
	m.addBazel(t, "bazel", "bazel 7.7.1")
	m.addBazel(t, "bazelisk", "bazel 7.7.1")
	for range 2 {
		out, err := m.run("../../bazelw", "build", "//a b")
		if want := "bazelisk ran: build //a b"; err != nil || out != want {
			t.Fatalf("got %q, %v, want %q", out, err, want)
		}
	}
	if asked, err := os.ReadFile(filepath.Join(m.bin, "asked")); string(asked) != "asked\n" {
		t.Errorf("asked for its version: %q, %v, want once", asked, err)
	}
	m.addBazel(t, "bazelisk", "bazel 6.10.0")
	out, err := m.run("../../tools/bootstrap/host-bazel.sh", m.cache)
	if err != nil || !strings.Contains(out, "not used") {
		t.Errorf("after it changed: got %q, %v, want a message that it is not used", out, err)
	}
}

func TestCacheFolder(t *testing.T) {
	for folder, want := range map[string]string{
		"/tmp/fledge":     "is in /tmp",
		"cache/fledge":    "is not an absolute path",
		"/home/a b/cache": "has a character",
	} {
		m := newMachine(t)
		m.cache = folder
		out, err := m.run("../../bazelw", "build")
		if err == nil || !strings.Contains(out, want) || !strings.Contains(out, "set FLEDGE_CACHE") {
			t.Errorf("%s: got %q, %v, want an error with %q", folder, out, err, want)
		}
	}
}

// On a machine without Bazel and without apt the set-up says what to do, and leaves nothing.
func TestNoWay(t *testing.T) {
	m := newMachine(t)
	out, err := m.run("../../bazelw", "build")
	if err == nil || !strings.Contains(out, "which this machine lacks") || !strings.Contains(out, "Bazelisk") {
		t.Errorf("got %q, %v, want an error with a remedy", out, err)
	}
	if left, err := filepath.Glob(filepath.Join(m.cache, "bazel-*")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// What arm64 guests and remote execution need is set up when it is asked for and missing, and never else.
func TestOnDemand(t *testing.T) {
	const qemu, kernel = "FLEDGE_QEMU_ARM64=/qemu", "FLEDGE_KERNEL_ARM64=/Image"
	for _, tt := range []struct {
		env  []string
		want string // how the output begins
	}{
		{nil, "bazel ran: build"},
		{[]string{"FLEDGE_SETUP_ARM64=0"}, "bazel ran: build"},
		{[]string{"FLEDGE_SETUP_ARM64=1", kernel}, "[fledge] setting up qemu_arm64 in "},
		{[]string{"FLEDGE_SETUP_ARM64=1", qemu}, "[fledge] setting up kernel_arm64 in "},
		{[]string{"FLEDGE_SETUP_ARM64=1", qemu, kernel}, "bazel ran: build"},
		{[]string{"FLEDGE_SETUP_BUILDBOX=1"}, "[fledge] setting up buildbox in "},
		{[]string{"FLEDGE_SETUP_BUILDBOX=1", "FLEDGE_BUILDBOX=/buildbox"}, "bazel ran: build"},
	} {
		m := newMachine(t)
		m.addBazel(t, "bazel", "bazel 7.7.1")
		m.add(t, "flock", "")
		m.env = append(tt.env, "FLEDGE_DEBIAN_MIRROR=http://127.0.0.1:1") // so that it is a Debian machine
		// It fails for want of apt, after it has said what it is about to do.
		if out, _ := m.run("../../bazelw", "build"); !strings.HasPrefix(out, tt.want) {
			t.Errorf("%q: got %q, want %q…", tt.env, out, tt.want)
		}
	}
}
