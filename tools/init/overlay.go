//go:build linux

package main

import (
	"strings"
	"syscall"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/verity/layout"
)

const (
	agentArg = "stage2"
	sysRoot  = "/sys"

	// Working directories, made at run time.
	lower   = "/fledge/lower" // the image
	upper   = "/fledge/rw/upper"
	work    = "/fledge/rw/work"
	rw      = "/fledge/rw" // one tmpfs: an overlay wants its upper and its work directory on the same file system
	newRoot = "/fledge/root"
)

// bootDisk boots from the disk. It ends in the agent, or returns why it could not.
func bootDisk(conf bootconf.Config) error {
	if err := openMachine(conf.Modules); err != nil {
		return err
	}
	cmdline, err := readFile("/proc/cmdline")
	if err != nil {
		return err
	}
	size, err := overlaySize(conf.OverlaySize, string(cmdline))
	if err != nil {
		return err
	}
	root, err := rootHash(conf.Verity, string(cmdline))
	if err != nil {
		return err
	}
	disk, err := waitForDisk(sysRoot)
	if err != nil {
		return err
	}
	did, err := mountDisk(disk, size, root)
	if err != nil {
		return err
	}
	if err := switchRoot(); err != nil {
		return err
	}
	if !isQuiet(string(cmdline)) {
		say(did + ", " + agent + " " + agentArg)
	}
	return become(agent, agentArg)
}

// mountDisk makes the disk newRoot, and tells what it did. root is the root hash that the disk must have, or nil.
func mountDisk(disk, overlaySize string, root *layout.Hash) (did string, err error) {
	dev := "/dev/" + disk
	fs, head, err := detect(dev)
	if err != nil {
		return "", err
	}
	what := dev + " (" + fs.name + ")"
	if root != nil {
		if dev, err = openVerified(dev, fs, head, *root); err != nil {
			return "", err
		}
		what += ", verified"
	}
	if fs.writable() && !isReadOnly(sysRoot, disk) {
		return what + ", read-write", mount{dev, newRoot, fs.name, 0, ""}.do()
	}
	return what + ", overlay " + overlaySize, mountOverlay(dev, fs.name, overlaySize)
}

// overlaySize is the configured size, unless the kernel command line has another.
func overlaySize(configured, cmdline string) (string, error) {
	size := bootconf.FromCommandLine(cmdline, "overlay_size")
	if size == "" {
		return configured, nil
	}
	if err := bootconf.CheckSize(size); err != nil {
		return "", fail("kernel command line", err, "")
	}
	return size, nil
}

func isQuiet(cmdline string) bool {
	for p := range strings.FieldsSeq(cmdline) {
		if p == "quiet" {
			return true
		}
	}
	return false
}

// mountOverlay makes the disk with a tmpfs over it newRoot.
func mountOverlay(dev, fs, size string) error {
	if err := (mount{dev, lower, fs, syscall.MS_RDONLY, ""}).do(); err != nil {
		return err
	}
	if err := (mount{"tmpfs", rw, "tmpfs", 0, "mode=0755,size=" + size}).do(); err != nil {
		return err
	}
	if err := makeUpper(); err != nil {
		return err
	}
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if err := (mount{"overlay", newRoot, "overlay", 0, options}).do(); err != nil {
		return err
	}
	// The overlay holds on to both; as mounts they would stay behind, out of reach, below the new root.
	for _, dir := range [...]string{lower, rw} {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			return fail("unmount "+dir, err, "")
		}
	}
	return nil
}

// makeUpper makes the directories that an overlay needs. The upper one stands for the root of the merged tree, so it
// gets the mode, owner and time of the image's root.
func makeUpper() error {
	var root syscall.Stat_t
	if err := syscall.Stat(lower, &root); err != nil {
		return fail("stat "+lower, err, "")
	}
	for _, dir := range [...]string{upper, work} {
		if err := syscall.Mkdir(dir, 0o755); err != nil {
			return fail("mkdir "+dir, err, "")
		}
	}
	err := syscall.Chown(upper, int(root.Uid), int(root.Gid))
	if err == nil {
		err = syscall.Chmod(upper, root.Mode&0o7777)
	}
	if err == nil {
		err = syscall.UtimesNano(upper, []syscall.Timespec{root.Mtim, root.Mtim})
	}
	if err != nil {
		return fail("set mode, owner and time of "+upper, err, "")
	}
	return nil
}

// switchRoot takes proc, sys and dev along, frees the initramfs's memory and makes newRoot the root of everything.
func switchRoot() error {
	for _, dir := range [...]string{"/proc", "/sys", "/dev"} {
		target := newRoot + dir
		var st syscall.Stat_t
		err := syscall.Lstat(target, &st)
		switch {
		case err == syscall.ENOENT:
			err = syscall.Mkdir(target, 0o755)
		case err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
			err = syscall.ENOTDIR
		}
		if err != nil {
			return fail("the image's "+dir, err, "it must be a directory or missing")
		}
		if err := syscall.Mount(dir, target, "", syscall.MS_MOVE, ""); err != nil {
			return fail("move "+dir+" to the new root", err, "")
		}
	}
	freeInitramfs()
	if err := syscall.Chdir(newRoot); err != nil {
		return fail("chdir "+newRoot, err, "")
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fail("move the new root to /", err, "")
	}
	if err := syscall.Chroot("."); err != nil {
		return fail("chroot", err, "")
	}
	if err := syscall.Chdir("/"); err != nil {
		return fail("chdir /", err, "")
	}
	return nil
}
