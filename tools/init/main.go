//go:build linux

// Command init is PID 1 of the small initramfs that boots a squashfs image: it loads the bundled kernel modules, mounts
// the first virtio disk read-only, lays one tmpfs over it for writes, makes that the root and becomes the image's
// agent.
//
// The tmpfs may grow to the size that the image's rule gave; overlay_size= on the kernel command line overrules it. A
// step that fails prints one line that starts with "fledge-init: error:" and powers the machine off.
//
// It uses package syscall alone: fmt, os or x/sys would make the program, which every image carries, noticeably larger.
package main

import (
	"strings"
	"syscall"

	"github.com/fledge-build/fledge/internal/bootconf"
)

const (
	agent    = "/bin/kestrel"
	agentArg = "stage2"
	sysRoot  = "/sys"

	// Working directories, made at run time.
	lower   = "/fledge/lower" // the image
	upper   = "/fledge/rw/upper"
	work    = "/fledge/rw/work"
	rw      = "/fledge/rw" // one tmpfs: an overlay wants its upper and its work directory on the same file system
	newRoot = "/fledge/root"
)

func main() {
	if syscall.Getpid() != 1 {
		say("this is the init of a boot initramfs and runs as PID 1 only")
		syscall.Exit(1)
	}
	err := boot()
	say("error: " + err.Error())
	powerOff()
}

// boot ends in the agent, or returns why it could not.
func boot() error {
	for _, m := range [...]mount{
		{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
		{"sysfs", "/sys", "sysfs", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
		{"devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID, "mode=0755"},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	conf, cmdline, err := configuration()
	if err != nil {
		return err
	}
	if err := loadModules(conf.Modules); err != nil {
		return err
	}
	reopenConsole()
	disk, err := waitForDisk(sysRoot)
	if err != nil {
		return err
	}
	fs, err := detect("/dev/" + disk)
	if err != nil {
		return err
	}
	if err := mountOverlay("/dev/"+disk, fs, conf.OverlaySize); err != nil {
		return err
	}
	if err := switchRoot(); err != nil {
		return err
	}
	if !isQuiet(cmdline) {
		say("/dev/" + disk + " (" + fs + "), overlay " + conf.OverlaySize + ", " + agent + " " + agentArg)
	}
	err = syscall.Exec(agent, []string{agent, agentArg}, syscall.Environ())
	return execFailed(err)
}

// configuration reads what the builder and the kernel command line say; the latter wins. /proc must be mounted.
func configuration() (c bootconf.Config, cmdline string, err error) {
	b, err := readFile("/" + bootconf.File)
	if err != nil {
		return c, "", err
	}
	if c, err = bootconf.Parse(b); err != nil {
		return c, "", fail("/"+bootconf.File, err, "the initramfs is damaged, build it anew")
	}
	line, err := readFile("/proc/cmdline")
	if err != nil {
		return c, "", err
	}
	if size := bootconf.FromCommandLine(string(line), "overlay_size"); size != "" {
		if err := bootconf.CheckSize(size); err != nil {
			return c, "", fail("kernel command line", err, "")
		}
		c.OverlaySize = size
	}
	return c, string(line), nil
}

func isQuiet(cmdline string) bool {
	for p := range strings.FieldsSeq(cmdline) {
		if p == "quiet" {
			return true
		}
	}
	return false
}

func loadModules(files []string) error {
	for _, file := range files {
		path := "/" + bootconf.ModulesDir + "/" + file
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return fail("open "+path, err, "the initramfs is damaged, build it anew")
		}
		err = finitModule(fd)
		syscall.Close(fd)
		switch err {
		case nil, syscall.EEXIST: // EEXIST: loaded already, or built in
		case syscall.ENODEV: // no such hardware in this machine; if it is the disk's, the search for it says so
		case syscall.ENOEXEC, syscall.EKEYREJECTED, syscall.ENOKEY:
			return fail("load module "+file, err, "it does not belong to the kernel that runs, "+kernelRelease())
		default:
			return fail("load module "+file, err, "the kernel's messages above tell more")
		}
	}
	return nil
}

// mountOverlay makes the disk with a tmpfs over it newRoot.
func mountOverlay(dev, fs, size string) error {
	for _, dir := range [...]string{lower, rw, newRoot} {
		if err := syscall.Mkdir(dir, 0o755); err != nil {
			return fail("mkdir "+dir, err, "")
		}
	}
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

func execFailed(err error) error {
	var st syscall.Stat_t
	hint := ""
	switch err {
	case syscall.ENOENT:
		hint = "the image has no agent: give the rule one, or map a program to " + agent
		if syscall.Stat(agent, &st) == nil {
			hint = "it is there, but the interpreter or dynamic loader that it names is not: use a static program"
		}
	case syscall.EACCES:
		hint = "it is not an executable file: check its mode"
	case syscall.ENOEXEC:
		hint = "it is no program for this machine: check its architecture"
	}
	return fail("exec "+agent+" "+agentArg, err, hint)
}
