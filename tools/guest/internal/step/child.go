//go:build linux

package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func init() {
	if len(os.Args) == 1 && os.Args[0] == childName {
		runtime.LockOSThread() // limits, rights and filters are a thread's
		child()
	}
}

// child sets up the container and becomes the command; it never returns.
func child() {
	unix.CloseOnExec(errorFD)
	var p plan
	err := json.NewDecoder(os.NewFile(planFD, "plan")).Decode(&p)
	unix.Close(planFD)
	if err == nil {
		err = become(p)
	}
	os.NewFile(errorFD, "error").WriteString(err.Error())
	os.Exit(1)
}

func become(p plan) error {
	s := p.Spec
	if hasNamespace(s, specs.CgroupNamespace) {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("cgroup namespace: %w", err)
		}
	}
	if err := mountAll(s); err != nil {
		return err
	}
	if err := enterRoot(s.Root.Path); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("host name %q: %w", s.Hostname, err)
	}
	if hasNamespace(s, specs.NetworkNamespace) {
		loopback()
	}
	if err := limits(s.Process); err != nil {
		return err
	}
	if err := unix.Chdir(s.Process.Cwd); err != nil {
		return fmt.Errorf("working directory %s: %w", s.Process.Cwd, err)
	}
	// Without no_new_privs only a privileged thread may set a filter; the filter lets what follows pass.
	if !s.Process.NoNewPrivileges {
		if err := filter(p.Seccomp); err != nil {
			return err
		}
	}
	if err := dropRights(s.Process); err != nil {
		return err
	}
	if s.Process.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
		if err := filter(p.Seccomp); err != nil {
			return err
		}
	}
	unix.Umask(0o022)
	return run(s.Process)
}

// run becomes the command. That it cannot is the build's fault: it is told as a shell would.
func run(p *specs.Process) error {
	os.Clearenv()
	for _, kv := range p.Env {
		key, value, _ := strings.Cut(kv, "=")
		os.Setenv(key, value) // for LookPath
	}
	path, err := exec.LookPath(p.Args[0])
	if err == nil {
		err = &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, p.Args, p.Env)}
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		os.Exit(ExitNotFound)
	}
	os.Exit(ExitNotExecutable)
	return nil
}

var rlimits = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
	"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE,
	"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

// limits sets resource limits, and makes the command, unlike the solver, one that the kernel may end for want of
// memory.
func limits(p *specs.Process) error {
	for _, l := range p.Rlimits {
		which, ok := rlimits[l.Type]
		if !ok {
			return fmt.Errorf("ulimit %s is not known", strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_")))
		}
		// By the syscall itself: package syscall puts the limit of open files back at exec, for it raises it at start.
		limit := unix.Rlimit{Cur: l.Soft, Max: l.Hard}
		if err := unix.Prlimit(0, which, &limit, nil); err != nil {
			return fmt.Errorf("ulimit %s=%d:%d: %w", strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_")), l.Soft, l.Hard, err)
		}
	}
	return os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0)
}

// filter installs a seccomp program for this thread, which the exec makes the only one.
func filter(prog []byte) error {
	if len(prog) == 0 {
		return nil
	}
	f := unix.SockFprog{Len: uint16(len(prog) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&f)))
	if e != 0 {
		return fmt.Errorf("seccomp: %w", e)
	}
	return nil
}

// loopback brings the interface lo up; a kernel without networking has none.
func loopback() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if req, err := unix.NewIfreq("lo"); err == nil {
		req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
	}
}
