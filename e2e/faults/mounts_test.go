package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// insideVariable says that a test runs in namespaces of its own.
const insideVariable = "FLEDGE_FAULTS_INSIDE"

// inMountNamespace tells whether the test can mount. If not it is run again, in namespaces of its own (unshare) whose mounts
// go with it, and is done.
func (k *kit) inMountNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	flags := []string{"--mount"}
	if os.Geteuid() != 0 {
		flags = append(flags, "--user", "--map-root-user")
	}
	if out, err := exec.Command("unshare", append(flags, "mount", "-t", "tmpfs", "tmpfs", t.TempDir())...).CombinedOutput(); err != nil {
		t.Skipf("needs to mount a tmpfs, as root or with unshare --map-root-user: %v: %s", err, out)
	}
	var parts []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		parts = append(parts, "^"+part+"$")
	}
	cmd := exec.Command("unshare", append(flags, os.Args[0], "-test.v", "-test.run="+strings.Join(parts, "/"))...)
	cmd.Env = append(os.Environ(), insideVariable+"=1", kitVariable+"="+k.dir, registryVariable+"="+k.registry)
	out, err := cmd.CombinedOutput()
	t.Logf("in namespaces of its own:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in namespaces of its own: %v", err)
	}
	return false
}

// mountRoom mounts a disk of a size in bytes, a multiple of the page's, at a folder, which is made.
func mountRoom(t *testing.T, dir string, size int64) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}

// remount changes options of a mount.
func remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}

// used is how much room the files below a folder take, in bytes.
func used(t *testing.T, dir string) (size int64) {
	t.Helper()
	for name := range contents(t, dir) {
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode&syscall.S_IFMT == syscall.S_IFREG {
			size += st.Blocks * 512
		}
	}
	return size
}
