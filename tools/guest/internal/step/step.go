//go:build linux

// Package step runs one command of a build in a container, as runc would: it carries out an OCI runtime specification.
//
// Start runs this very program again, in new namespaces. That child is recognised by its name when this package is
// initialised, in every program that links it, tests too. It sets up mounts, limits and rights, and becomes the
// command: a step costs one process.
package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// childName is the child's argv[0].
const childName = "fledge-step"

// File descriptors of the child.
const (
	planFD  = 3 // the plan, JSON
	errorFD = 4 // what went wrong; closed by the exec of the command
)

// Exit codes of a command that could not be started, as shells have them.
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// Command is a command to run.
type Command struct {
	Spec    *specs.Spec // seccomp apart; its root's path is a mounted file system
	Seccomp []byte      // struct sock_filter[] of linux/filter.h, or none
	Cgroup  *os.File    // folder of a cgroup v2 to start in, or nil
	Stdin   *os.File    // or nil for none
	Stdout  io.Writer
	Stderr  io.Writer
}

// plan is what the child gets.
type plan struct {
	Spec    *specs.Spec
	Seccomp []byte
}

// ErrSetup says that the container could not be set up: not the command's fault.
var ErrSetup = errors.New("the container of this step could not be set up")

// Process is a running command.
type Process struct {
	cmd    *exec.Cmd
	stderr io.Writer
}

// Start sets up the container and starts the command. A command that does not exist is no error here: it ends with
// ExitNotFound, and the reason is on its standard error.
func Start(c Command) (*Process, error) {
	planR, planW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer planR.Close()
	defer planW.Close()
	errorR, errorW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer errorR.Close()
	defer errorW.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{childName}, Env: []string{},
		Stdout: c.Stdout, Stderr: c.Stderr, ExtraFiles: []*os.File{planR, errorW},
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: cloneFlags(c.Spec), Setsid: true},
	}
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	if c.Cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(c.Cgroup.Fd())
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	p := &Process{cmd: cmd, stderr: c.Stderr}
	planR.Close()
	errorW.Close()
	sent := json.NewEncoder(planW).Encode(plan{c.Spec, c.Seccomp})
	planW.Close()
	told, err := io.ReadAll(errorR)
	switch {
	case len(told) > 0:
		err = errors.New(string(told))
	case err == nil:
		err = sent
	}
	if err == nil {
		return p, nil
	}
	p.Kill()
	cmd.Wait()
	if len(told) == 0 && errors.Is(err, unix.EPIPE) { // a process that is gone, and how it ended is the reason
		err = fmt.Errorf("its process ended before it had begun: %s", cmd.ProcessState)
	}
	return nil, fmt.Errorf("%w: %w", ErrSetup, err)
}

// Kill ends the command and all that it started: it is the first process of their namespace.
func (p *Process) Kill() { p.cmd.Process.Kill() }

// Signal sends the command a signal.
func (p *Process) Signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// Wait returns the exit code, which is 128 and the signal's number for a command that a signal ended. The output is
// complete by then.
func (p *Process) Wait() (int, error) {
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

var namespaceFlags = map[specs.LinuxNamespaceType]uintptr{
	specs.PIDNamespace:     unix.CLONE_NEWPID,
	specs.NetworkNamespace: unix.CLONE_NEWNET,
	specs.MountNamespace:   unix.CLONE_NEWNS,
	specs.IPCNamespace:     unix.CLONE_NEWIPC,
	specs.UTSNamespace:     unix.CLONE_NEWUTS,
}

// cloneFlags are the namespaces of the specification. That of cgroups is the child's own affair: it must be in its
// cgroup by then.
func cloneFlags(s *specs.Spec) (flags uintptr) {
	for _, ns := range s.Linux.Namespaces {
		flags |= namespaceFlags[ns.Type]
	}
	return flags
}

func hasNamespace(s *specs.Spec, kind specs.LinuxNamespaceType) bool {
	for _, ns := range s.Linux.Namespaces {
		if ns.Type == kind {
			return true
		}
	}
	return false
}
