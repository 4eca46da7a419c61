//go:build linux

package step

import (
	"bytes"
	"errors"
	"os"
	"testing"

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
