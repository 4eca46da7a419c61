//go:build linux

package main

import (
	"errors"
	"strings"
	"syscall"
	"unsafe"
)

// mount holds the arguments of mount(2).
type mount struct {
	source, target, fs string
	flags              uintptr
	data               string
}

// attempt mounts, and makes the directory to mount on if there is none.
func (m mount) attempt() error {
	err := syscall.Mount(m.source, m.target, m.fs, m.flags, m.data)
	if err == syscall.ENOENT && syscall.Mkdir(m.target, 0o755) == nil {
		err = syscall.Mount(m.source, m.target, m.fs, m.flags, m.data)
	}
	return err
}

// do mounts as attempt does and explains a failure.
func (m mount) do() error {
	err := m.attempt()
	if err == nil {
		return nil
	}
	return m.explain(err)
}

func (m mount) explain(err error) error {
	hint := "the kernel's messages above may tell more"
	if err == syscall.ENODEV {
		hint = lacks(m.fs)
	}
	return fail("mount "+m.source+" ("+m.fs+") on "+m.target, err, hint)
}

func lacks(modules string) string {
	return "the kernel lacks " + modules + ": bundle its modules with the image, or use one that has it built in"
}

// fail makes an error of what was tried, why it failed and what to do about it; the last two may be missing.
func fail(what string, why error, hint string) error {
	if why != nil {
		what += ": " + why.Error()
	}
	if hint != "" {
		what += "; " + hint
	}
	return errors.New(what)
}

// decimal is for offsets and sizes.
func decimal(n uint64) string {
	if n < 10 {
		return string('0' + rune(n))
	}
	return decimal(n/10) + decimal(n%10)
}

// say prints one line on the console.
func say(line string) {
	syscall.Write(2, []byte("fledge-init: "+line+"\n"))
}

// powerOff ends the machine once the console has printed everything.
func powerOff() {
	const tcsbrk = 0x5409 // with argument 1 it is tcdrain(3)
	syscall.Syscall(syscall.SYS_IOCTL, 2, tcsbrk, 1)
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	for { // PID 1 must not exit: that would be a kernel panic
		waitReadable(-1, 1e9)
	}
}

// reopenConsole connects the standard streams to the console. The kernel has done so before, unless the console's own
// driver was among the modules.
func reopenConsole() {
	fd, err := syscall.Open("/dev/console", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	for std := range 3 {
		syscall.Dup3(fd, std, 0)
	}
	syscall.Close(fd)
}

func finitModule(fd int) error {
	_, _, errno := syscall.Syscall(sysFinitModule, uintptr(fd), uintptr(unsafe.Pointer(&[1]byte{})), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func kernelRelease() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "?"
	}
	var b []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

// readFile reads a file of at most 64 KiB.
func readFile(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fail("open "+path, err, "")
	}
	defer syscall.Close(fd)
	b := make([]byte, 1<<16)
	n := 0
	for n < len(b) {
		m, err := syscall.Read(fd, b[n:])
		if err != nil {
			return nil, fail("read "+path, err, "")
		}
		if m == 0 {
			break
		}
		n += m
	}
	return b[:n], nil
}

// readDir lists the names in a directory; none when it cannot be read.
func readDir(path string) []string {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := syscall.ReadDirent(fd, buf)
		if err != nil || n <= 0 {
			return names
		}
		_, _, names = syscall.ParseDirent(buf[:n], -1, names)
	}
}

// freeInitramfs deletes all files of the initramfs, which would fill memory for as long as the machine runs.
func freeInitramfs() {
	const ramfs, tmpfs = 0x858458f6, 0x01021994 // what an initramfs can be: never delete on anything else
	var fs syscall.Statfs_t
	var root syscall.Stat_t
	if syscall.Statfs("/", &fs) != nil || syscall.Stat("/", &root) != nil {
		return
	}
	if magic := uint32(fs.Type); magic != ramfs && magic != tmpfs {
		return
	}
	deleteTree("/", root.Dev)
}

// deleteTree empties dir, except for what lies on other file systems.
func deleteTree(dir string, dev uint64) {
	for _, name := range readDir(dir) {
		path := strings.TrimSuffix(dir, "/") + "/" + name
		var st syscall.Stat_t
		switch {
		case syscall.Lstat(path, &st) != nil || st.Dev != dev:
		case st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
			deleteTree(path, dev)
			syscall.Rmdir(path)
		default:
			syscall.Unlink(path)
		}
	}
}

// listenUevents opens a socket that becomes readable with every event of the kernel's device model, or is -1.
func listenUevents() int {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK,
		syscall.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return -1
	}
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: 1}); err != nil {
		syscall.Close(fd)
		return -1
	}
	return fd
}

// waitReadable waits until fd is readable and takes what is there, or until ns nanoseconds have passed. A negative fd
// never becomes readable.
func waitReadable(fd int, ns int64) {
	poll := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: 1} // POLLIN
	timeout := syscall.NsecToTimespec(ns)
	n, _, _ := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1,
		uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	if int(n) != 1 {
		return
	}
	var event [4096]byte
	for {
		if _, err := syscall.Read(fd, event[:]); err != nil {
			return
		}
	}
}

// now is a time in nanoseconds that never jumps.
func now() int64 {
	var t syscall.Timespec
	const clockMonotonic = 1
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}
