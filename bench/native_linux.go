package main

import (
	"os/exec"
	"syscall"
)

// isolate makes cmd PID 1 of namespaces of its own, with root as its root.
func isolate(cmd *exec.Cmd, root string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
}
