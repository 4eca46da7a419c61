// Package monitor runs the program of a virtual machine monitor: starts it, passes on what it writes, and ends all of it.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Process is a running program.
type Process struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{} // closed when the program has ended and the streams have passed on all; then err is set
	err    error
	said   tail
}

// Start starts a program, which messages call name, in a process group that ends with ctx. It puts temporary files into
// temp, "" for where the environment says. Its standard input is stdin, nil for none. Its standard output goes to the stream stdout, or with its standard error when that is nil, and the extra
// streams are its descriptors from ExtraFD. The files are the process's from now on, also after an error.
func Start(ctx context.Context, name string, command []string, temp string, stdin *os.File, stdout *Stream, extra ...*Stream) (*Process, error) {
	p := &Process{name: name, done: make(chan struct{})}
	ctx, p.cancel = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &p.said, &p.said, lingering
	setProcessAttributes(cmd)
	if temp != "" {
		cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	streams := extra
	for _, s := range extra {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.w)
	}
	if stdout != nil {
		cmd.Stdout = stdout.w
		streams = append([]*Stream{stdout}, extra...)
	}
	started := make(chan error)
	go func() {
		// The parent of a process is the thread that started it: were it to end, the kernel would end the process, too.
		runtime.LockOSThread()
		err := cmd.Start()
		if stdin != nil {
			stdin.Close()
		}
		for _, s := range streams {
			s.w.Close() // the program has its own: the stream ends with it
		}
		started <- err
		if err == nil {
			p.wait(ctx, cmd, streams)
		}
	}()
	if err := <-started; err != nil {
		p.cancel()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

func (p *Process) wait(ctx context.Context, cmd *exec.Cmd, streams []*Stream) {
	err := cmd.Wait()
	for _, s := range streams {
		s.Finish()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.As(err, &exit):
		err = fmt.Errorf("%s failed (%v)%s", p.name, exit, p.said.quoted())
	case errors.Is(err, exec.ErrWaitDelay): // another process holds its standard error
		err = nil
	}
	p.err = err
	close(p.done)
	p.cancel()
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns the error of a program that has ended: the cause of ctx's end, or an exit code other than 0 with what the
// program said.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Said is the end of what the program said about itself, to follow an error's text; only after its end.
func (p *Process) Said() string { return p.said.quoted() }

// Kill ends the program without waiting for its end.
func (p *Process) Kill() { p.cancel() }

// Stop ends the program and all that it started.
func (p *Process) Stop() {
	p.cancel()
	<-p.done
}

// tail keeps the last of what a program says. It is written to by one goroutine, which Wait waits for.
type tail struct{ b []byte }

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-tailSize):]
	return len(p), nil
}

// quoted is the text on one line, to follow an error's text.
func (t *tail) quoted() string {
	text := strings.Join(strings.Fields(string(t.b)), " ")
	if text == "" {
		return ""
	}
	return ": " + text
}
