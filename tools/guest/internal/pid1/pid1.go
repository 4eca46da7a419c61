//go:build linux

// Package pid1 is the first process of the build machine. It prepares the machine, has the solve done by a child, and
// powers off, whatever becomes of that child: a panic or a kill for want of memory ends in a result that says so.
//
// It acts when the package is initialised, for which being PID 1 as /init is the sign.
package pid1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/guestos"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/machine"
)

// StateDir is where BuildKit keeps everything: the scratch space is the root by then.
const StateDir = "/state"

func init() {
	if os.Getpid() == 1 && os.Args[0] == "/"+wire.InitFile {
		supervise()
	}
}

// supervise never returns: it powers off.
func supervise() {
	defer guestos.PowerOff()
	defer func() {
		if p := recover(); p != nil {
			say("panic: %v", p)
		}
	}()
	times := wire.Times{Init: machine.Uptime()}
	out, err := prepare(&times)
	if err != nil {
		fail(out, wire.Failure{Kind: wire.FailInternal, Message: err.Error()}, times)
		return
	}
	defer out.Close()
	if err := out.work(times); err != nil {
		fail(out, diagnose(err), times)
	}
}

// prepared are what the child needs.
type prepared struct {
	*os.File // the output disk
	input    string
	secrets  string // "" without
	console  *os.File
	trace    *tailWriter // what the child wrote to standard error
}

// prepare makes the machine ready. The output disk comes back with an error, too, if it was found.
func prepare(times *wire.Times) (*prepared, error) {
	if err := guestos.MountKernel(); err != nil {
		return nil, err
	}
	mountCgroups()
	if err := promiseMemory(); err != nil {
		return nil, err
	}
	if err := guestos.LoadModules("/" + wire.ModulesDir); err != nil {
		return nil, err
	}
	times.Modules = machine.Uptime()
	found, err := findDisks()
	if found.output == "" {
		return nil, err
	}
	f, openErr := os.OpenFile(found.output, os.O_RDWR, 0)
	if openErr != nil {
		return nil, openErr
	}
	p := &prepared{File: f, input: found.input, secrets: found.secrets, console: guestos.OpenProgress(), trace: &tailWriter{}}
	if err != nil {
		return p, err
	}
	if state, _, err := wire.ReadState(f); err != nil || state != wire.Empty {
		return p, errors.Join(err, fmt.Errorf("the build machine restarted by itself: its output disk is already %s", state))
	}
	job, err := readJob(p.input)
	if err != nil {
		return p, err
	}
	if err := enterScratch(job, found.scratch); err != nil {
		return p, err
	}
	if job.Network {
		return p, setNetwork()
	}
	return p, nil
}

// work runs the child that solves, and reaps what is left to this process meanwhile.
func (p *prepared) work(times wire.Times) error {
	args := []string{"-input", p.input, "-output", p.Name(), "-embedded", StateDir, "-times", machine.FormatTimes(times)}
	if p.secrets != "" {
		args = append(args, "-secrets", p.secrets)
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "guest"
	cmd.Env = []string{"PATH=/bin", "HOME=/", "TMPDIR=/tmp"}
	cmd.Stdout, cmd.Stderr = p.console, io.MultiWriter(os.Stderr, p.trace)
	if err := cmd.Start(); err != nil {
		return err
	}
	// The kernel ends a step before the solver, and this process never.
	os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("-900"), 0)
	stop := make(chan struct{})
	go reap(cmd.Process.Pid, stop)
	err := cmd.Wait()
	close(stop)
	if state, _, stateErr := wire.ReadState(p); stateErr == nil && state == wire.Done {
		return nil
	}
	if err == nil {
		err = errors.New("it ended without a result")
	}
	if trace := p.trace.String(); trace != "" {
		err = fmt.Errorf("%w: %s", err, trace)
	}
	return fmt.Errorf("the solver in the build machine died: %w", err)
}

// reap waits for orphans, but not for the child, whom exec waits for.
func reap(child int, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Second):
		}
		for {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
			pid := machine.SiginfoPID(&info)
			if err != nil || pid == 0 || pid == child {
				break
			}
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// diagnose says why the child died.
func diagnose(err error) wire.Failure {
	if kills := machine.OOMKills(); kills > 0 {
		return machine.OutOfMemory(kills)
	}
	return wire.Failure{Kind: wire.FailInternal, Message: err.Error()}
}

// fail writes a failure where the host looks for it, as far as there is such a place.
func fail(p *prepared, f wire.Failure, times wire.Times) {
	say("%s", f.Message)
	if p == nil {
		return
	}
	_, nonce, err := wire.ReadState(p)
	if err == nil {
		err = wire.Finish(p, nonce, wire.Result{Failure: &f, Times: times, Memory: machine.Memory()})
	}
	if err != nil {
		say("%v", err)
	}
}

// say writes to the kernel's console.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "fledge-guest: error: "+format+"\n", args...)
}

// tailWriter keeps the end of what is written.
type tailWriter struct{ b []byte }

const tailSize = 6 << 10

func (t *tailWriter) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	// A panic's first lines say most, so they are kept as well as what comes last.
	if len(t.b) > 2*tailSize {
		t.b = append(append(t.b[:tailSize:tailSize], "\n…\n"...), t.b[len(t.b)-tailSize/2:]...)
	}
	return len(p), nil
}

func (t *tailWriter) String() string { return strings.TrimSpace(string(t.b)) }
