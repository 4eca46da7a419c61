package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// testReadOnly has outputs on a disk that is read-only, outputs that are folders, and a store that cannot be written to.
func (k *kit) testReadOnly(t *testing.T) {
	if !k.inMountNamespace(t) {
		return
	}
	build := k.fledgeOperation(squashfs, 0)
	want, _ := k.undisturbed(t, build)
	for _, o := range k.packerOperations(t) {
		t.Run(o.name, func(t *testing.T) {
			dir := t.TempDir()
			mountRoom(t, dir, 64<<20)
			remount(t, dir, syscall.MS_RDONLY, "")
			var paths []string
			for _, output := range o.outputs {
				paths = append(paths, filepath.Join(dir, output))
			}
			k.refused(t, o.args(dir), "read-only file system", paths...)
			remount(t, dir, 0, "")
			k.must(t, o.args(dir))
		})
	}
	for _, place := range []string{"out", kept} {
		t.Run("fledge build, "+place, func(t *testing.T) {
			dir := build.folder(t)
			at := filepath.Join(dir, place)
			mountRoom(t, at, 64<<20)
			remount(t, at, syscall.MS_RDONLY, "")
			what := filepath.Join(at, "app")
			if place == kept {
				what = "fledge keeps things between builds in " + at + ", and has to write there; --cache"
			}
			k.refused(t, build.args(dir), "read-only file system", what)
			remount(t, at, 0, "")
			k.must(t, build.args(dir))
			checkAll(t, dir, want)
			if place == kept { // all is there, so that nothing has to be written
				remount(t, at, syscall.MS_RDONLY, "")
				k.must(t, build.args(dir))
			}
		})
	}
	t.Run("an output that is a folder", k.folderInTheWay)
}

// refused runs what cannot work: the exit code is that of errors, and one of the texts after the first is in the message.
func (k *kit) refused(t *testing.T, args []string, text string, names ...string) {
	t.Helper()
	got := k.try(t, args)
	named := false
	for _, name := range names {
		named = named || strings.Contains(got.output, name)
	}
	if got.code != 1 || !strings.Contains(got.output, text) || !named || strings.Contains(got.output, ".fledge-") {
		t.Errorf("%s: exit code %d, %s\nwant %q and one of %q", args[1], got.code, got.output, text, names)
	}
}

// folderInTheWay has a folder with something in it where an output is to be: it stays, and no other output is made.
func (k *kit) folderInTheWay(t *testing.T) {
	for _, o := range append(k.packerOperations(t), k.fledgeOperation(squashfs, 0)) {
		for _, output := range o.outputs {
			dir := o.folder(t)
			path := filepath.Join(dir, output)
			writeFile(t, filepath.Join(path, "mine"), "mine")
			before := contents(t, path)
			got := k.try(t, o.args(dir))
			if got.code != 1 || !strings.Contains(got.output, path) || strings.Contains(got.output, ".fledge-") {
				t.Errorf("%s, %s: exit code %d, %s", o.name, output, got.code, got.output)
			}
			checkAll(t, path, before)
			for _, other := range o.outputs {
				if _, err := os.Lstat(filepath.Join(dir, other)); err == nil && other != output {
					t.Errorf("%s: %s is a folder, and %s is made", o.name, output, other)
				}
			}
		}
	}
}

const nobody = 65534

// testAnotherUser runs as a user who may read and not write.
func (k *kit) testAnotherUser(t *testing.T) {
	imagetest.NeedRoot(t)
	public := t.TempDir() // a test's folder is closed to others
	for up := public; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fledge := filepath.Join(public, "program")
	copyProgram(t, k.fledge, fledge)
	build := k.fledgeOperation(squashfs, 0)
	for _, closed := range []string{"out", kept} {
		dir := filepath.Join(public, closed)
		build.prepare(t, dir)
		for _, folder := range []string{"out", kept, "project"} {
			made := filepath.Join(dir, folder)
			if err := os.MkdirAll(made, 0o755); err != nil {
				t.Fatal(err)
			}
			if folder == closed {
				continue
			}
			if err := os.Chown(made, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(fledge, build.args(dir)[1:]...)
		cmd.Env = environment("HOME=" + dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		want := filepath.Join(dir, "out/app") + ": permission denied"
		if closed == kept {
			want = "has to write there; --cache or FLEDGE_CACHE names another folder"
		}
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%s is another's: %v, %s", closed, err, out)
		}
		if got := contents(t, filepath.Join(dir, closed)); len(got) != 1 {
			t.Errorf("in %s there are %v", closed, got)
		}
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}
