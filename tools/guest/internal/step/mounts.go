//go:build linux

package step

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/continuity/fs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// devices are what runc puts into /dev. They are bound from this machine's own: the tmpfs around them has nodev, so
// that a node that the command makes there cannot be opened, and the disks of the build machine stay out of reach.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

var deviceLinks = [][2]string{
	{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
	{"/proc/kcore", "core"}, {"pts/ptmx", "ptmx"},
}

// optional are file systems that a small kernel may lack, and builds rarely miss.
var optional = map[string]bool{"mqueue": true, "cgroup2": true}

// mountAll builds the container's file systems below its root.
func mountAll(s *specs.Spec) error {
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	root := s.Root.Path
	if err := bind(root, root, unix.MS_NODEV); err != nil {
		return err
	}
	for _, m := range s.Mounts {
		if err := mountOne(root, m); err != nil {
			return err
		}
		if m.Destination == "/dev" {
			if err := fillDev(root); err != nil {
				return err
			}
		}
	}
	readonly := func(p string) error { return bind(p, p, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC) }
	if err := eachExisting(root, s.Linux.ReadonlyPaths, readonly); err != nil {
		return err
	}
	if err := eachExisting(root, s.Linux.MaskedPaths, mask); err != nil {
		return err
	}
	if s.Root.Readonly {
		return mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NODEV|unix.MS_RDONLY, "")
	}
	return nil
}

// eachExisting calls do with what of the paths this kernel has. They are looked up as a process inside would: the image
// may have a link in place of /proc.
func eachExisting(root string, paths []string, do func(path string) error) error {
	for _, path := range paths {
		p, err := fs.RootPath(root, path)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(p); err != nil {
			continue
		}
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}

func mountOne(root string, m specs.Mount) error {
	if m.Type == "cgroup" {
		m.Type, m.Source = "cgroup2", "cgroup2"
	}
	flags, data := options(m.Options)
	file := false
	if flags&unix.MS_BIND != 0 {
		st, err := os.Stat(m.Source)
		if err != nil {
			return fmt.Errorf("source of mount %s: %w", m.Destination, err)
		}
		file = !st.IsDir()
	}
	point, err := mountPoint(root, m.Destination, file)
	if err != nil {
		return fmt.Errorf("mount point %s: %w", m.Destination, err)
	}
	if flags&unix.MS_BIND != 0 {
		return bind(m.Source, point, flags&^unix.MS_BIND|unix.MS_NODEV)
	}
	if m.Type != "devpts" {
		flags |= unix.MS_NODEV
	}
	err = mount(m.Source, point, m.Type, flags, data)
	if optional[m.Type] && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY)) {
		return nil
	}
	return err
}

// mountPoint returns where dest is below root, as a process inside would find it, and creates it if it is not there.
func mountPoint(root, dest string, file bool) (string, error) {
	p, err := fs.RootPath(root, dest)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(p); err == nil {
		return p, nil
	}
	if !file {
		return p, os.MkdirAll(p, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return "", err
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	return p, f.Close()
}

func fillDev(root string) error {
	dev, err := fs.RootPath(root, "/dev")
	if err != nil {
		return err
	}
	for _, name := range devices {
		p, err := mountPoint(root, "/dev/"+name, true)
		if err != nil {
			return err
		}
		if err := bind("/dev/"+name, p, unix.MS_NOSUID|unix.MS_NOEXEC); err != nil {
			return err
		}
	}
	for _, l := range deviceLinks {
		if err := os.Symlink(l[0], filepath.Join(dev, l[1])); err != nil {
			return err
		}
	}
	return nil
}

// mask hides a file or a folder.
func mask(path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return mount("tmpfs", path, "tmpfs", unix.MS_RDONLY|unix.MS_NODEV, "size=0")
	}
	return bind("/dev/null", path, 0)
}

// enterRoot makes path the root of this mount namespace, and gives the old one up.
func enterRoot(path string) error {
	if err := unix.Chdir(path); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	// The old root comes to lie on the new one, from where it is taken away; it needs no folder of its own so.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("old root: %w", err)
	}
	return unix.Chdir("/")
}

// bind binds source, with all that is mounted in it, and then sets flags, which the first call ignores.
func bind(source, target string, flags uintptr) error {
	if err := mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|flags&^unix.MS_REC, "")
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", strings.TrimSpace(kind+" "+source), target, err)
	}
	return nil
}

var mountFlags = map[string]uintptr{
	"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
	"bind": unix.MS_BIND, "rbind": unix.MS_BIND | unix.MS_REC, "strictatime": unix.MS_STRICTATIME,
	"noatime": unix.MS_NOATIME, "relatime": unix.MS_RELATIME, "rw": 0,
}

// options splits mount options into flags and what is the file system's own.
func options(list []string) (flags uintptr, data string) {
	var own []string
	for _, o := range list {
		if f, ok := mountFlags[o]; ok {
			flags |= f
		} else {
			own = append(own, o)
		}
	}
	return flags, strings.Join(own, ",")
}
