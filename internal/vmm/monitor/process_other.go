//go:build !linux

package monitor

import "os/exec"

// setProcessAttributes does nothing where a parent's death cannot be tied to a process.
func setProcessAttributes(*exec.Cmd) {}
