package cloudhypervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/monitor"
)

// maxSocket is the longest path of a Unix socket, in bytes (sockaddr_un less the final NUL).
const maxSocket = 107

// special has a meaning in the values of Cloud Hypervisor's options.
const special = `,"[]`

// machine is a running Cloud Hypervisor.
type machine struct {
	process *monitor.Process
	command []string
	dir     string // with its socket and named pipes
	streams []*monitor.Stream
	events  *io.PipeWriter // the end at which history reads
	history history
	done    chan struct{} // closed when all is over and cleared away; then err is set
	err     error
}

// start starts Cloud Hypervisor in the empty folder dir and has it boot the machine, which removes dir at its end.
func start(ctx context.Context, program, dir string, spec vmm.Spec) (*machine, error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	socket := in("api.sock")
	if len(socket) > maxSocket || strings.ContainsAny(socket, special) {
		return nil, fmt.Errorf("%s: the path of a socket may have %d bytes and none of %s: set TMPDIR to another folder",
			socket, maxSocket, special)
	}
	c, err := config(spec, in("serial"), in("progress"))
	if err != nil {
		return nil, err
	}
	m := &machine{dir: dir, done: make(chan struct{})}
	m.command = []string{
		program, "--api-socket", "path=" + socket, "--event-monitor", "path=" + in("events"), "--seccomp", "true",
	}
	reader, writer := io.Pipe()
	m.events = writer
	err = m.open(in, spec, writer)
	if err == nil {
		m.process, err = monitor.Start(ctx, "Cloud Hypervisor", m.command, "", nil, nil)
	}
	if err != nil {
		m.finish()
		return nil, err
	}
	go m.watch(reader)
	if err := m.boot(ctx, socket, c); err != nil {
		return nil, m.explain(ctx, err)
	}
	return m, nil
}

// explain ends a machine that did not boot, and prefers the end that Cloud Hypervisor came to by itself to an answer that
// failed to come.
func (m *machine) explain(ctx context.Context, err error) error {
	var refused *refusal
	if !errors.As(err, &refused) && ctx.Err() == nil {
		select {
		case <-m.done:
			if m.err == nil {
				return fmt.Errorf("Cloud Hypervisor ended before the guest booted%s", m.process.Said())
			}
			return m.err
		case <-time.After(time.Second):
		}
	}
	m.Stop()
	return err
}

// open makes the named pipes.
func (m *machine) open(in func(name string) string, spec vmm.Spec, events io.Writer) error {
	to := map[string]io.Writer{"events": events, "serial": cmp.Or(spec.Console, io.Discard), "progress": spec.Progress}
	for _, name := range []string{"events", "serial", "progress"} {
		if to[name] == nil {
			continue
		}
		s, err := monitor.Fifo(in(name), to[name])
		if err != nil {
			return err
		}
		m.streams = append(m.streams, s)
	}
	return nil
}

// boot has Cloud Hypervisor make the machine and start it.
func (m *machine) boot(ctx context.Context, socket string, c vmConfig) error {
	a := newAPI(socket, m.process.Done())
	defer a.close()
	err := a.put(ctx, "vm.create", c)
	if err == nil {
		err = a.put(ctx, "vm.boot", nil)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watch follows the machine to its end.
func (m *machine) watch(events *io.PipeReader) {
	followed := make(chan struct{})
	go func() {
		m.history.follow(events, m.process.Kill)
		io.Copy(io.Discard, events) // nothing must wait for a reader that has given up
		close(followed)
	}()
	err := m.process.Wait()
	m.finish()
	<-followed
	m.err = errors.Join(m.judge(err), os.RemoveAll(m.dir))
	close(m.done)
}

// finish waits until all is passed on that Cloud Hypervisor wrote.
func (m *machine) finish() {
	for _, s := range m.streams {
		s.Finish()
	}
	m.events.Close()
}

// judge turns the end of Cloud Hypervisor into Wait's error. That it ends well tells that the guest powered off, as it
// goes on otherwise.
func (m *machine) judge(err error) error {
	h := &m.history
	switch {
	case h.failure != "":
		return errors.New(h.failure)
	case h.err != nil:
		return h.err
	}
	return err
}

func (m *machine) Wait() error {
	<-m.done
	return m.err
}

func (m *machine) Stop() {
	m.process.Kill()
	<-m.done
}

// Addr is "": these machines have no network.
func (m *machine) Addr(int) string { return "" }

// Command starts Cloud Hypervisor; the machine itself is described over its socket.
func (m *machine) Command() []string { return m.command }
