package imagetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Describe tells everything about the file tree at dir, one line a name: path, type and mode, owner, time, link count
// of what is not a directory and the first of its names, target or device number, SHA-256 of the content, extended
// attributes.
func Describe(t testing.TB, dir string) []string {
	t.Helper()
	lines, err := Tree(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// Tree is what Describe tells, with or without extended attributes, for who has no test: a guest.
func Tree(dir string, xattrs bool) ([]string, error) {
	var lines []string
	first := map[uint64]string{} // inode to path
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%q %06o %d:%d %d", name, st.Mode, st.Uid, st.Gid, st.Mtim.Sec)
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if _, ok := first[st.Ino]; !ok {
				first[st.Ino] = name
			}
			line += fmt.Sprintf(" links %d %q", st.Nlink, first[st.Ino])
		}
		what, err := special(path, &st)
		if err != nil {
			return err
		}
		attrs := ""
		if xattrs {
			if attrs, err = Xattrs(path); err != nil {
				return err
			}
		}
		lines = append(lines, strings.TrimRight(line+" "+what+" "+attrs, " "))
		return nil
	})
	return lines, err
}

// special is what a type has beyond the common fields.
func special(path string, st *unix.Stat_t) (string, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		return fmt.Sprintf("-> %q", target), err
	case unix.S_IFCHR, unix.S_IFBLK:
		return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
	case unix.S_IFREG:
		if st.Size == 0 { // as most of a million files may be
			return fmt.Sprintf("0 bytes %x", sha256.Sum256(nil)), nil
		}
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(h, f)
		return fmt.Sprintf("%d bytes %x", n, h.Sum(nil)), err
	}
	return "", nil
}

// Xattrs lists the extended attributes of the file at path, sorted by name, as name=hex.
func Xattrs(path string) (string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if errors.Is(err, unix.ENOTSUP) {
		return "", nil // as for a squashfs image without any
	}
	if err != nil {
		return "", fmt.Errorf("list extended attributes of %s: %w", path, err)
	}
	var out []string
	for _, name := range strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("extended attribute %s of %s: %w", name, path, err)
		}
		out = append(out, fmt.Sprintf("%s=%x", name, value[:n]))
	}
	slices.Sort(out)
	return strings.Join(out, " "), nil
}

// Mount has the kernel mount a squashfs image and gives the mount point. It needs root, and a kernel with squashfs and
// loop devices.
func Mount(t testing.TB, image string) string {
	t.Helper()
	return MountAs(t, "squashfs", "ro", image)
}

// MountAs is Mount for an image of another file system, with its mount options.
func MountAs(t testing.TB, fileSystem, options, image string) string {
	t.Helper()
	NeedRoot(t, "mount", "umount")
	list, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(list), "\t"+fileSystem+"\n") {
		t.Skipf("the kernel does not have %s (/proc/filesystems)", fileSystem)
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("the kernel does not have loop devices")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", fileSystem, "-o", "loop,"+options, image, dir).CombinedOutput(); err != nil {
		t.Fatalf("the kernel does not mount the image: %v\n%s%s", err, out, kernelLog())
	}
	t.Cleanup(func() { Run(t, "umount", dir) })
	return dir
}

// kernelLog is the end of the kernel's log, which tells why a mount failed.
func kernelLog() string {
	out, err := exec.Command("dmesg").Output()
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
