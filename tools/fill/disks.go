//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// disks are the machine's.
type disks struct {
	source, target string // devices
	kind           string // of the target: xfs or btrfs
}

// superblocks tell the file systems: the magic numbers and where they are.
var superblocks = []struct {
	kind   string
	offset int
	magic  string
}{
	{"ext4", 0x438, "\x53\xef"},
	{"xfs", 0, "XFSB"},
	{"btrfs", 0x10040, "_BHRfS_M"},
}

// superblockSize is as much of a disk as has them all.
const superblockSize = 0x10048

// patience is how long disks may take to appear: the kernel finds them while it starts processes.
const patience = 10 * time.Second

// findDisks waits until both disks are there.
func findDisks() (disks, error) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		d := lookAtDisks("/sys/block", "/dev")
		switch {
		case d.source != "" && d.target != "":
			return d, nil
		case time.Now().Before(end):
		case d == (disks{}):
			return d, errors.New("the machine has no disk with a file system: the kernel needs drivers for virtio disks, " +
				"built in or as modules")
		case d.source == "":
			return d, errors.New("no disk has ext4, the source")
		default:
			return d, errors.New("no disk has xfs or btrfs, the target")
		}
	}
}

func lookAtDisks(sysBlock, dev string) (d disks) {
	names, _ := filepath.Glob(sysBlock + "/vd*")
	for _, n := range names {
		device := filepath.Join(dev, filepath.Base(n))
		switch kind := kindOf(device); kind {
		case "":
		case "ext4":
			d.source = device
		default:
			d.target, d.kind = device, kind
		}
	}
	return d
}

// kindOf names the file system on a device, "" for none that is known.
func kindOf(device string) string {
	f, err := os.Open(device)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, superblockSize)
	n, _ := f.ReadAt(b, 0)
	for _, s := range superblocks {
		if s.offset < n && strings.HasPrefix(string(b[s.offset:n]), s.magic) {
			return s.kind
		}
	}
	return ""
}

// mount mounts both, and looks for what the kernel would lose without a word.
func (d disks) mount() error {
	for _, m := range []struct {
		device, dir, kind string
		flags             uintptr
		data              string
	}{
		{d.source, sourceDir, "ext4", unix.MS_RDONLY, "noload"},
		{d.target, targetDir, d.kind, unix.MS_NOATIME, ""},
	} {
		if err := os.MkdirAll(m.dir, 0o700); err != nil {
			return err
		}
		err := unix.Mount(m.device, m.dir, m.kind, m.flags|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, m.data)
		switch {
		case errors.Is(err, unix.ENODEV):
			return fmt.Errorf("the kernel has no %s (CONFIG_%s_FS), built in or as a module", m.kind, strings.ToUpper(m.kind))
		case err != nil:
			return fmt.Errorf("the kernel does not mount the %s of %s: %w; its messages may tell more, for instance of "+
				"features that only a newer kernel has", m.kind, m.device, err)
		}
		if err := checkXattrs(m.dir, m.kind); err != nil {
			return err
		}
	}
	return nil
}

// checkXattrs makes sure that the kernel knows the kinds of attributes that it may be built without.
func checkXattrs(dir, kind string) error {
	for _, name := range []string{"system.posix_acl_access", "security.capability"} {
		_, err := unix.Getxattr(dir, name, nil)
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("the kernel has no attributes %s on %s, so that files would lose theirs: use one with "+
				"CONFIG_EXT4_FS_POSIX_ACL, CONFIG_EXT4_FS_SECURITY and CONFIG_XFS_POSIX_ACL or CONFIG_BTRFS_FS_POSIX_ACL", name, kind)
		}
	}
	return nil
}
