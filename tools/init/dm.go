//go:build linux

package main

import (
	"syscall"
	"unsafe"
)

// Commands of the device mapper (include/uapi/linux/dm-ioctl.h).
const (
	dmDevCreate  = 0xc138fd03
	dmDevSuspend = 0xc138fd06
	dmTableLoad  = 0xc138fd09

	dmReadOnly = 1 << 0
)

// mapping is struct dm_ioctl, and behind it the only struct dm_target_spec of a table with its parameters.
type mapping struct {
	version     [3]uint32
	size        uint32 // of all of this
	targetsAt   uint32
	targetCount uint32
	openCount   int32
	flags       uint32
	event       uint32
	_           uint32
	device      uint64 // its numbers, once it is there
	name        [128]byte
	_           [129 + 7]byte

	start, sectors uint64
	status         int32
	next           uint32
	kind           [16]byte
	params         [512]byte
}

// mapDevice makes a read-only block device of sectors of 512 bytes that the device mapper's target of the given kind fills
// as params say, and gives its path.
func mapDevice(name, kind, params string, sectors uint64) (string, error) {
	const control = "/dev/mapper/control" // the kernel makes it in devtmpfs
	fd, err := syscall.Open(control, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", fail("open "+control, err, lacks("dm_mod and dm_"+kind))
	}
	defer syscall.Close(fd)
	var created mapping
	for _, step := range [...]struct {
		what    string
		command uintptr
		hint    string
	}{
		{"create", dmDevCreate, ""},
		{"load the table of", dmTableLoad, lacks("dm_"+kind) + "; or it refuses the table: its messages above tell more"},
		{"activate", dmDevSuspend, "the kernel's messages above may tell more"}, // without the flag to suspend, it resumes
	} {
		m := mapping{flags: dmReadOnly, targetCount: 1, sectors: sectors}
		m.version[0] = 4
		m.size, m.targetsAt = uint32(unsafe.Sizeof(m)), uint32(unsafe.Offsetof(m.start))
		copy(m.name[:], name)
		copy(m.kind[:], kind)
		copy(m.params[:len(m.params)-1], params)
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), step.command, uintptr(unsafe.Pointer(&m))); errno != 0 {
			return "", fail("device mapper: "+step.what+" "+name+" ("+kind+" "+params+")", errno, step.hint)
		}
		created = m
	}
	minor := created.device&0xff | created.device>>12&^0xff // makedev(3)
	return "/dev/dm-" + decimal(minor), nil
}
