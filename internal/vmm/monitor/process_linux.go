package monitor

import (
	"os/exec"
	"syscall"
)

// setProcessAttributes gives the program a process group of its own, so that all of it can be ended even when a script
// started it, and ends it should this program be killed.
func setProcessAttributes(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
