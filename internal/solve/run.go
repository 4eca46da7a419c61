package solve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// guestCmdline: a guest that crashes must end the machine, and its console is for the kernel's serious words alone.
const guestCmdline = "quiet loglevel=4 oops=panic"

// guestNetwork tells the guest of QEMU's user network, the one that gives a machine a network without root.
const guestNetwork = " " + wire.NetworkParameter + "10.0.2.15::10.0.2.2:255.255.255.0::::10.0.2.3"

// run runs the machine until it is off, or the program that stands in for it, and gives what the guest says of its work.
func run(ctx context.Context, d disks, o Options) (wire.Result, error) {
	if o.Machine.Limit > 0 {
		limit := fmt.Errorf("the time limit of %v is reached: raise it, or see below what takes so long", o.Machine.Limit)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Machine.Limit, limit)
		defer cancel()
	}
	if o.Program != nil {
		return o.Program.run(ctx, d, o)
	}
	console, progress := &vmm.ConsoleEnd{}, &progress{event: o.Event}
	cmdline := guestCmdline
	if o.Job.Network {
		cmdline += guestNetwork
	}
	m, err := o.Machine.Driver.Start(ctx, vmm.Spec{
		Arch: o.Job.Arch, Kernel: o.Machine.Kernel, Initramfs: o.Machine.Initramfs, Disks: d.list(),
		MemoryMB: o.Machine.MemoryMB, CPUs: o.Machine.CPUs, Cmdline: cmdline, Network: o.Job.Network,
		Console: console, Progress: progress,
	})
	if err != nil {
		return wire.Result{}, fmt.Errorf("start the build machine: %w", err)
	}
	err = m.Wait()
	m.Stop()
	res, state, readErr := readResult(d)
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("%w%s", context.Cause(ctx), progress.last())
	case readErr == nil:
		return res, nil
	case err != nil:
		err = fmt.Errorf("the build machine: %w%s%s", err, progress.last(), console.LastLines())
	default:
		err = died(state, readErr, o.Machine, console, progress)
	}
	return res, vmm.Explain(err, d.list())
}

// readResult reads what the guest wrote. Without a result, state tells how far it came.
func readResult(d disks) (res wire.Result, state wire.State, err error) {
	f, err := os.Open(d.output)
	if err != nil {
		return res, state, err
	}
	defer f.Close()
	state, nonce, err := wire.ReadState(f)
	switch {
	case err != nil:
		return res, state, err
	case nonce != d.nonce:
		return res, state, errors.New("output disk: its header was overwritten")
	}
	res, err = wire.ReadResult(f, d.nonce)
	return res, state, err
}

// died explains a machine that is off and left no result.
func died(state wire.State, readErr error, m Machine, c *vmm.ConsoleEnd, p *progress) error {
	text := c.Text()
	switch {
	case state == wire.Done:
		return readErr
	case strings.Contains(text, "Kernel panic"):
		line := c.LineWith("Kernel panic")
		if strings.Contains(text, "Out of memory") || strings.Contains(line, "memory") {
			line += fmt.Sprintf(": the machine has %d MiB, raise memory_mb", m.MemoryMB)
		}
		return fmt.Errorf("the build machine's kernel gave up: %s%s%s", line, p.last(), c.LastLines())
	case state == wire.Empty:
		return fmt.Errorf("the build machine never started its work: is the kernel %s one with virtio and initramfs support, "+
			"and for this machine? Memory: %d MiB%s", m.Kernel, m.MemoryMB, c.LastLines())
	}
	return fmt.Errorf("the build machine ended in the middle of its work%s%s", p.last(), c.LastLines())
}
