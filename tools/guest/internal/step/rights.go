//go:build linux

package step

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilities by name; linux/capability.h.
var capabilities = map[string]uint{
	"CAP_CHOWN": unix.CAP_CHOWN, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_FSETID": unix.CAP_FSETID,
	"CAP_FOWNER": unix.CAP_FOWNER, "CAP_MKNOD": unix.CAP_MKNOD, "CAP_NET_RAW": unix.CAP_NET_RAW,
	"CAP_SETGID": unix.CAP_SETGID, "CAP_SETUID": unix.CAP_SETUID, "CAP_SETFCAP": unix.CAP_SETFCAP,
	"CAP_SETPCAP": unix.CAP_SETPCAP, "CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE,
	"CAP_SYS_CHROOT": unix.CAP_SYS_CHROOT, "CAP_KILL": unix.CAP_KILL, "CAP_AUDIT_WRITE": unix.CAP_AUDIT_WRITE,
}

// dropRights bounds the capabilities and changes to the command's user. What root keeps, and that another user keeps
// nothing, the kernel derives from the bounding set at exec.
func dropRights(p *specs.Process) error {
	keep := map[uint]bool{}
	for _, name := range p.Capabilities.Bounding {
		number, ok := capabilities[name]
		if !ok {
			return fmt.Errorf("capability %s is not among those that a step may have", name)
		}
		keep[number] = true
	}
	for c := uint(0); c < 64; c++ {
		if keep[c] {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err == unix.EINVAL {
			break // the kernel's last one was before
		} else if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := clearInheritable(); err != nil {
		return err
	}
	return setUser(p.User)
}

// clearInheritable clears what would pass an exec besides the bounding set, and so the ambient set, too.
func clearInheritable() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&head, &sets[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	return nil
}

// setUser changes this thread alone: package syscall would change all threads, which takes a signal to each.
func setUser(u specs.User) error {
	groups := make([]int, len(u.AdditionalGids))
	for i, g := range u.AdditionalGids {
		groups[i] = int(g)
	}
	if err := unix.Setgroups(groups); err != nil {
		return fmt.Errorf("groups %v: %w", groups, err)
	}
	for _, set := range []struct {
		call uintptr
		id   uint32
		what string
	}{{unix.SYS_SETRESGID, u.GID, "group"}, {unix.SYS_SETRESUID, u.UID, "user"}} {
		id := uintptr(set.id)
		if _, _, e := unix.RawSyscall(set.call, id, id, id); e != 0 {
			return fmt.Errorf("%s %d: %w", set.what, set.id, e)
		}
	}
	return nil
}
