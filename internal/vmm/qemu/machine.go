package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// machine is a running QEMU.
type machine struct {
	command []string
	ports   map[int]int
	console io.Writer

	silent bool          // nothing was printed while start waited
	spoke  chan struct{} // closed with the first byte on the console
	done   chan struct{} // closed when QEMU has ended; then err is set
	err    error
	cancel context.CancelFunc
	stderr tail
}

func newMachine(command []string, ports map[int]int, console io.Writer) *machine {
	if console == nil {
		console = io.Discard
	}
	return &machine{
		command: command, ports: ports, console: console, spoke: make(chan struct{}), done: make(chan struct{}),
	}
}

// start starts QEMU and returns when it has shown life, has been silent for long or has ended, which is an error unless
// the guest printed something first.
func (m *machine) start(ctx context.Context) error {
	ctx, m.cancel = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, m.command[0], m.command[1:]...)
	cmd.Stdout, cmd.Stderr = &firstByte{w: m.console, spoke: m.spoke}, &m.stderr
	cmd.WaitDelay = time.Second
	setProcessAttributes(cmd)
	started := make(chan error)
	go func() {
		// The parent of a process is the thread that started it: were it to end, the kernel would end QEMU, too.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		m.err = m.explain(cmd.Wait(), ctx)
		close(m.done)
	}()
	if err := <-started; err != nil {
		m.cancel()
		return fmt.Errorf("start QEMU: %w", err)
	}
	select {
	case <-m.spoke:
	case <-m.done:
		m.cancel()
		select {
		case <-m.spoke:
			return nil
		default:
		}
		if m.err == nil {
			return fmt.Errorf("QEMU ended without a word from the guest%s", m.stderr.quoted())
		}
		return m.err
	case <-time.After(silence):
		m.silent = true
	}
	return nil
}

// explain turns the end of QEMU into Wait's error.
func (m *machine) explain(err error, ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("QEMU failed (%v)%s", exit, m.stderr.quoted())
	}
	return err
}

func (m *machine) Wait() error {
	<-m.done
	return m.err
}

func (m *machine) Stop() {
	m.cancel()
	<-m.done
}

func (m *machine) Addr(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.ports[port]))
}

func (m *machine) Command() []string { return m.command }

// firstByte passes the console on and tells when it begins.
type firstByte struct {
	w     io.Writer
	spoke chan struct{}
	once  sync.Once
}

func (f *firstByte) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.spoke) })
	return f.w.Write(p)
}

// tail keeps the last of what QEMU says on its standard error. QEMU is read by one goroutine, which Wait waits for.
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
