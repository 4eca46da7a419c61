//go:build linux

package step

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestOptions(t *testing.T) {
	flags, data := options([]string{"rbind", "ro", "nosuid", "mode=755", "size=1k", "rw"})
	if flags != unix.MS_BIND|unix.MS_REC|unix.MS_RDONLY|unix.MS_NOSUID || data != "mode=755,size=1k" {
		t.Errorf("%#x %q", flags, data)
	}
}

func TestMountPoint(t *testing.T) {
	root := t.TempDir()
	for _, l := range [][2]string{{"/etc/x", "out"}, {"run/made", "dangling"}, {"../../../../..", "up"}} {
		if err := os.Symlink(l[0], root+"/"+l[1]); err != nil {
			t.Fatal(err)
		}
	}
	for dest, want := range map[string]string{
		"/a/b": "/a/b", "/out": "/etc/x", "/dangling": "/run/made", "/up/c": "/c", "/../d": "/d",
	} {
		for _, file := range []bool{true, false} {
			os.RemoveAll(root + want)
			got, err := mountPoint(root, dest, file)
			if err != nil || got != root+want {
				t.Errorf("%s: %s, %v", dest, got, err)
				continue
			}
			if st, err := os.Lstat(got); err != nil || st.IsDir() == file {
				t.Errorf("%s: %v, %v", dest, st, err)
			}
		}
	}
}

// A container that cannot be set up is an error of its own, with the reason, and leaves no process.
func TestSetupFails(t *testing.T) {
	spec := &specs.Spec{Root: &specs.Root{Path: "/nonexistent"}, Process: &specs.Process{}, Linux: &specs.Linux{}}
	var out bytes.Buffer
	if os.Getuid() == 0 {
		spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	}
	_, err := Start(Command{Spec: spec, Stdout: &out, Stderr: &out})
	if !errors.Is(err, ErrSetup) || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
	t.Log(err)
}

// A child that dies before it has its plan, as for want of memory, is told with the way it died. The plan is so large
// that the child is killed before it is written.
func TestChildDies(t *testing.T) {
	spec := &specs.Spec{Root: &specs.Root{}, Process: &specs.Process{}, Linux: &specs.Linux{}}
	failed := make(chan error)
	go func() {
		_, err := Start(Command{Spec: spec, Seccomp: make([]byte, 64<<20)})
		failed <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if lists, _ := filepath.Glob("/proc/self/task/*/children"); killAll(lists) {
			break
		}
	}
	if err := <-failed; !errors.Is(err, ErrSetup) || !strings.Contains(err.Error(), "signal: killed") {
		t.Error(err)
	}
}

// killAll kills the processes that the files list, and tells whether there were any.
func killAll(lists []string) (killed bool) {
	for _, file := range lists {
		text, _ := os.ReadFile(file)
		for pid := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(pid); err == nil {
				killed = unix.Kill(n, unix.SIGKILL) == nil || killed
			}
		}
	}
	return killed
}
