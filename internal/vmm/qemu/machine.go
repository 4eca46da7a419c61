package qemu

import (
	"cmp"
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

	"github.com/fledge-build/fledge/internal/vmm"
)

// machine is a running QEMU.
type machine struct {
	command []string
	ports   map[int]int
	streams []*stream // QEMU's standard output, which is the serial line, and progressFD if there is progress

	silent bool          // nothing was printed while start waited
	spoke  chan struct{} // closed with the first byte of a stream
	done   chan struct{} // closed when QEMU has ended; then err is set
	err    error
	cancel context.CancelFunc
	stderr tail
}

func newMachine(command []string, ports map[int]int, spec vmm.Spec) *machine {
	m := &machine{command: command, ports: ports, spoke: make(chan struct{}), done: make(chan struct{})}
	spoke := sync.OnceFunc(func() { close(m.spoke) })
	m.streams = []*stream{{to: cmp.Or(spec.Console, io.Discard), spoke: spoke}}
	if spec.Progress != nil {
		m.streams = append(m.streams, &stream{to: spec.Progress, spoke: spoke})
	}
	return m
}

// start starts QEMU and returns when it has shown life, has been silent for long or has ended, which is an error unless
// the guest printed something first.
func (m *machine) start(ctx context.Context) error {
	ctx, m.cancel = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, m.command[0], m.command[1:]...)
	cmd.Stderr = &m.stderr
	cmd.WaitDelay = time.Second
	setProcessAttributes(cmd)
	if err := m.connect(cmd); err != nil {
		m.cancel()
		return err
	}
	started := make(chan error)
	go func() {
		// The parent of a process is the thread that started it: were it to end, the kernel would end QEMU, too.
		runtime.LockOSThread()
		err := cmd.Start()
		for _, s := range m.streams {
			s.started()
		}
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		for _, s := range m.streams {
			s.finish()
		}
		m.err = m.explain(err, ctx)
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

// connect gives QEMU the streams' ends.
func (m *machine) connect(cmd *exec.Cmd) error {
	for i, s := range m.streams {
		end, err := s.open()
		if err != nil {
			for _, opened := range m.streams[:i] {
				opened.started()
			}
			return fmt.Errorf("start QEMU: %w", err)
		}
		if i == 0 {
			cmd.Stdout = end
		} else {
			cmd.ExtraFiles = append(cmd.ExtraFiles, end) // the first is progressFD
		}
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
