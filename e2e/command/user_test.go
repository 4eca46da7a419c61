package command

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

const nobody = 65534

// testOrdinaryUser solves and builds as a user who is not root and has no rights beyond its own folders.
func (k *kit) testOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	dir := k.project(t, map[string]string{"app/Dockerfile": dockerfile, "app/server": "SERVER", "app/kestrel": "KESTREL"})
	// What root has in its own folders is out of reach.
	fledge, kernel, modules := filepath.Join(dir, "fledge"), filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "modules")
	copyTo(t, k.fledge, fledge)
	copyTo(t, k.kernel, kernel)
	copyTo(t, k.modules, modules)
	emulator := k.emulatorIn(t, dir)
	if out, err := exec.Command("chown", "-R", "65534:65534", dir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v\n%s", err, out)
	}
	for up := dir; up != "/" && up != os.TempDir(); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := k.command(ctx, dir, "build", "app/Dockerfile", "--agent", "./app/kestrel")
	cmd.Path = fledge
	cmd.Env = append(cmd.Env, "HOME="+dir, "FLEDGE_CACHE="+filepath.Join(dir, "store"), "TMPDIR="+dir, "XDG_RUNTIME_DIR=", "DOCKER_CONFIG="+dir,
		"FLEDGE_KERNEL_BZIMAGE="+kernel, "FLEDGE_KERNEL_MODULES="+modules, qemu.Variable(guestArch)+"="+emulator)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "app.img")); err != nil {
		t.Error(err)
	}
}

// copyTo copies a file or a folder, which everybody may read then.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-rL", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	if out, err := exec.Command("chmod", "-R", "a+rX", to).CombinedOutput(); err != nil {
		t.Fatalf("chmod: %v\n%s", err, out)
	}
}

// emulatorIn gives an emulator that everybody may run: the one of the host's packages, or a copy of the set-up's, which is a
// script that names its own folder.
func (k *kit) emulatorIn(t *testing.T, dir string) string {
	t.Helper()
	program, err := qemu.Find(guestArch, os.Getenv(qemu.Variable(guestArch)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Dir(filepath.Dir(program))
	if !strings.HasPrefix(string(text), "#!") || !strings.Contains(string(text), own) {
		return program
	}
	copied := filepath.Join(dir, "qemu")
	copyTo(t, own, copied)
	script := filepath.Join(copied, "bin", filepath.Base(program))
	if err := os.WriteFile(script, []byte(strings.ReplaceAll(string(text), own, copied)), 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}
