package qemu

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/monitor"
)

// machine is a running QEMU.
type machine struct {
	*monitor.Process
	command []string
	ports   map[int]int
	input   *os.File // what the guest reads is written here; nil without
	silent  bool     // nothing was printed while startMachine waited
}

// startMachine starts QEMU and returns when it has shown life, has been silent for long or has ended, which is an error
// unless the guest printed something first.
func startMachine(ctx context.Context, command []string, ports map[int]int, spec vmm.Spec) (*machine, error) {
	temp, err := snapshotFolder(spec)
	if err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	defer os.RemoveAll(temp) // QEMU has opened, and unlinked, its file by then
	spoke := make(chan struct{})
	speak := sync.OnceFunc(func() { close(spoke) })
	console, err := monitor.Pipe(&listener{to: spec.Console, speak: speak})
	if err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	var extra []*monitor.Stream
	if spec.Progress != nil {
		progress, err := monitor.Pipe(&listener{to: spec.Progress, speak: speak})
		if err != nil {
			console.Finish()
			return nil, fmt.Errorf("start QEMU: %w", err)
		}
		extra = append(extra, progress)
	}
	m := &machine{command: command, ports: ports}
	var stdin *os.File
	if spec.Input != nil {
		if stdin, m.input, err = os.Pipe(); err != nil {
			for _, s := range append(extra, console) {
				s.Finish()
			}
			return nil, fmt.Errorf("start QEMU: %w", err)
		}
	}
	if m.Process, err = monitor.Start(ctx, "QEMU", command, temp, stdin, console, extra...); err != nil {
		m.closeInput()
		return nil, err
	}
	go func() {
		<-m.Done()
		m.closeInput() // a guest that does not read leaves feed waiting
	}()
	select {
	case <-spoke:
	case <-m.Done():
		select {
		case <-spoke:
			return m, nil
		default:
		}
		if err := m.Wait(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("QEMU ended without a word from the guest%s", m.Said())
	case <-time.After(silence):
		m.silent = true
	}
	return m, nil
}

// snapshotFolder makes the folder for what a guest writes to a snapshot; "" without one. QEMU by itself would take /var/tmp,
// which a sandbox has read-only, in place of /tmp.
func snapshotFolder(spec vmm.Spec) (string, error) {
	if !slices.ContainsFunc(spec.Disks, func(d vmm.Disk) bool { return d.Snapshot }) {
		return "", nil
	}
	return os.MkdirTemp("", "fledge-snapshot-")
}

func (m *machine) closeInput() {
	if m.input != nil {
		m.input.Close()
	}
}

// feed passes on what the guest is to read.
func (m *machine) feed(from io.Reader) {
	io.Copy(m.input, from)
	m.closeInput()
}

func (m *machine) Addr(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.ports[port]))
}

func (m *machine) Command() []string { return m.command }

// listener passes a stream on and tells when it begins.
type listener struct {
	to    io.Writer // may be nil
	speak func()
}

func (l *listener) Write(p []byte) (int, error) {
	l.speak()
	if l.to == nil {
		return len(p), nil
	}
	return l.to.Write(p)
}
