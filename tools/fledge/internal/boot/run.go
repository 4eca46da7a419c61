package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/fledge-build/fledge/internal/vmm"
)

// Terminal is where the machine's console goes.
type Terminal struct {
	In  io.Reader // what the guest reads; nil is nothing. A terminal is put into raw mode
	Out io.Writer
	Log io.Writer // gets addresses, before the console has the terminal for itself
}

// ErrInterrupted is the error for a machine that was ended from outside.
var ErrInterrupted = errors.New("interrupted, and the machine is off")

// Run runs a machine until it is off, ctx ends, the time is up (0 is no limit) or someone types Ctrl-A x. A guest that said
// that it failed is an error, and so is a console that nobody takes any more.
func Run(ctx context.Context, driver vmm.Driver, spec vmm.Spec, t Terminal, limit time.Duration) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the time limit of %v is reached, and the machine is off", limit))
		defer cancel()
	}
	// When who reads the console goes away, that is an error of writing then. Else it would end this program, and leave the
	// terminal in raw mode.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	quit := make(chan struct{}, 1)
	in, inTerminal := terminal(t.In)
	if spec.Input = t.In; inTerminal {
		spec.Input = &keyboard{from: t.In, quit: func() { quit <- struct{}{} }}
	}
	_, outTerminal := terminal(t.Out)
	screen := &console{to: t.Out, terminal: outTerminal, broken: make(chan error, 1)}
	spec.Console = screen
	m, err := driver.Start(ctx, spec)
	if err != nil {
		return ended(ctx, err)
	}
	defer m.Stop()
	for _, port := range spec.Ports {
		fmt.Fprintf(t.Log, "machine: port %d is at %s\n", port, m.Addr(port))
	}
	if inTerminal {
		fmt.Fprintln(t.Log, "machine: Ctrl-A x ends it")
		state, err := term.MakeRaw(in)
		if err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		defer term.Restore(in, state)
	}
	off := make(chan error, 1)
	go func() { off <- m.Wait() }()
	select {
	case <-quit:
		return nil
	case err := <-screen.broken:
		return fmt.Errorf("the console cannot be shown, and the machine is off: %w", err)
	case err = <-off:
	}
	if err != nil {
		return ended(ctx, err)
	}
	if cause := screen.failure(); cause != "" {
		return fmt.Errorf("the machine is off, and the guest said: %s", cause)
	}
	return nil
}

// ended says why a machine ended that did not power off.
func ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == nil:
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return ErrInterrupted
	}
	return context.Cause(ctx)
}

// terminal is the descriptor of a reader or writer that is a terminal.
func terminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}
