package solve

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// Program solves in place of a machine: the guest as a program of this machine, which is given the disks as files. It
// writes events to its standard output.
type Program struct {
	Path string
	Args []string // those that come before the disks
}

// Daemon is a buildkitd that solves.
type Daemon struct {
	Addr                      string // unix:///SOCKET, tcp://HOST:PORT or docker-container://NAME
	CA, Cert, Key, ServerName string // of TLS: files, and the name in the daemon's certificate; "" for none
}

// Program is the guest, a program of this machine, as what talks to the daemon.
func (d Daemon) Program(guest string) *Program {
	p := &Program{Path: guest, Args: []string{"-addr", d.Addr}}
	for _, f := range [][2]string{
		{"-tls-ca", d.CA}, {"-tls-cert", d.Cert}, {"-tls-key", d.Key}, {"-tls-server-name", d.ServerName},
	} {
		if f[1] != "" {
			p.Args = append(p.Args, f[0], f[1])
		}
	}
	return p
}

// programPatience is how long a program that was told to end may take.
const programPatience = 10 * time.Second

// run runs the program to its end, and gives what it says of its work.
func (p Program) run(ctx context.Context, d disks, o Options) (wire.Result, error) {
	remarks, progress := &vmm.ConsoleEnd{}, &progress{event: withoutBoot(o.Event)}
	args := append(slices.Clone(p.Args), "-input", d.input, "-output", d.output)
	if d.secrets != "" {
		args = append(args, "-secrets", d.secrets)
	}
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Stdout, cmd.Stderr = progress, remarks
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = programPatience
	err := cmd.Run()
	res, _, readErr := readResult(d)
	switch {
	case ctx.Err() != nil:
		return res, fmt.Errorf("%w%s", context.Cause(ctx), progress.last())
	case err != nil:
		return res, fmt.Errorf("%s: %w%s\n%s", p.Path, err, progress.last(), strings.TrimSpace(remarks.Text()))
	}
	return res, readErr
}

// withoutBoot drops what only a machine's start has to tell.
func withoutBoot(event func(wire.Event)) func(wire.Event) {
	if event == nil {
		return nil
	}
	return func(e wire.Event) {
		if e.Kind != wire.EventBoot {
			event(e)
		}
	}
}
