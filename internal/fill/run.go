package fill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/fledge-build/fledge/internal/fill/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// mkfs makes the empty file system in a new file.
func (t *task) mkfs(ctx context.Context, size int64) error {
	if err := os.Remove(t.file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(t.file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, t.Mkfs, append(t.kind.options(t.kind.uuid(t.source)), t.file)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	// The two variables have versions that know them make the same bytes in every run.
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH=0", "DETERMINISTIC_SEED=1"}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s %s: %w\n%.2000s", t.Mkfs, strings.Join(cmd.Args[1:], " "), err, strings.TrimSpace(said.String()))
	}
	if err := t.prepareFixer(); err != nil {
		return fmt.Errorf("%s: %w", t.Mkfs, err)
	}
	return nil
}

// prepareFixer reads what mkfs made.
func (t *task) prepareFixer() error {
	f, err := os.OpenFile(t.file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	t.fixer, err = t.kind.fixer(f)
	return err
}

// guestCmdline: a guest that crashes must end the machine, and its console is for the kernel's serious words alone.
const guestCmdline = "quiet loglevel=4 oops=panic"

// run runs the machine until it is off, and gives the guest's last report.
func (t *task) run(ctx context.Context) (_ wire.Report, err error) {
	disks := []vmm.Disk{{File: t.Source}, {File: t.file, Writable: true}}
	defer func() {
		if err != nil {
			err = vmm.Explain(err, disks)
		}
	}()
	limit := fmt.Errorf("the time limit of %v is reached: raise it, or run where KVM works", t.Machine.Limit)
	ctx, cancel := context.WithTimeoutCause(ctx, t.Machine.Limit, limit)
	defer cancel()
	console, reports := &vmm.ConsoleEnd{}, &reports{progress: t.Progress}
	m, err := t.Machine.Driver.Start(ctx, vmm.Spec{
		Arch: t.Machine.Arch, Kernel: t.Machine.Kernel, Initramfs: t.Machine.Initramfs,
		Disks:    disks,
		MemoryMB: t.Machine.MemoryMB, CPUs: 1, Cmdline: guestCmdline,
		Console: console, Progress: &vmm.LineWriter{Max: wire.MaxLine, Line: reports.add},
	})
	if err != nil {
		return wire.Report{}, fmt.Errorf("start the machine: %w", err)
	}
	err = m.Wait()
	m.Stop()
	last := reports.latest()
	switch {
	case ctx.Err() != nil:
		return last, fmt.Errorf("%w; %d names and %d bytes had been copied", context.Cause(ctx), last.Entries, last.Bytes)
	case last.Full:
		return last, fmt.Errorf("%w: %s", errFull, last.Failure)
	case last.Failure != "":
		return last, fmt.Errorf("the guest: %s%s", last.Failure, console.LastLines())
	case last.Done:
		return last, nil
	case err != nil:
		return last, fmt.Errorf("the machine: %w%s", err, console.LastLines())
	}
	return last, t.died(last, console)
}

// died explains a machine that is off without having said how it ended.
func (t *task) died(last wire.Report, console *vmm.ConsoleEnd) error {
	switch line := console.LineWith("Kernel panic"); {
	case line != "" && (strings.Contains(line, "memory") || strings.Contains(console.Text(), "Out of memory")):
		return fmt.Errorf("the machine's memory of %d MiB is too small: %s%s", t.Machine.MemoryMB, line, console.LastLines())
	case line != "":
		return fmt.Errorf("the machine's kernel gave up: %s%s", line, console.LastLines())
	case last.Entries == 0:
		return fmt.Errorf("the machine never started its work: is the kernel %s one with virtio and initramfs support, and for "+
			"this machine?%s", t.Machine.Kernel, console.LastLines())
	}
	return fmt.Errorf("the machine ended in the middle of its work, after %d names%s", last.Entries, console.LastLines())
}

// reports takes the guest's reports.
type reports struct {
	progress func(entries, bytes int64)

	mu   sync.Mutex
	last wire.Report
}

// add takes a line. One that is no report is none of the guest's; the last one counts.
func (r *reports) add(line []byte) {
	report, err := wire.Parse(line)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.last = report
	r.mu.Unlock()
	if r.progress != nil && report.Failure == "" {
		r.progress(report.Entries, report.Bytes)
	}
}

func (r *reports) latest() wire.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
