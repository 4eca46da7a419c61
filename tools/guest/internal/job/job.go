//go:build linux

// Package job carries out a job from disk to disk.
package job

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/moby/buildkit/client"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/buildkit"
	"github.com/fledge-build/fledge/tools/guest/internal/inputs"
	"github.com/fledge-build/fledge/tools/guest/internal/machine"
	"github.com/fledge-build/fledge/tools/guest/internal/partial"
	"github.com/fledge-build/fledge/tools/guest/internal/pid1"
	"github.com/fledge-build/fledge/tools/guest/internal/solve"
)

// Options says where things are.
type Options struct {
	Input, Output, Secrets string // disks, or files like them
	Embedded               string // folder for a BuildKit inside this process, or ""
	Daemon                 Daemon // a buildkitd otherwise
	Times                  string // of the build machine's first process; "" outside of it
}

// bufferSize is how much of the image goes to the output disk at once, in bytes.
const bufferSize = 1 << 20

// Run takes the job, solves it and writes the result. Its error says that no result could be written.
func Run(ctx context.Context, o Options, events io.Writer) error {
	if (o.Embedded == "") == (o.Daemon.Address == "") {
		return errors.New("give either -embedded or -addr")
	}
	disk, err := os.OpenFile(o.Output, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	nonce, err := wire.Begin(disk)
	if err != nil {
		return err
	}
	times, err := machine.ParseTimes(o.Times)
	if o.Times != "" && err != nil {
		return fmt.Errorf("-times: %w", err)
	}
	r := runner{Options: o, disk: disk, times: times, events: events}
	res := r.run(ctx)
	if err := disk.Sync(); err != nil {
		return err
	}
	res.Times = r.times
	res.Times.Synced = machine.Uptime()
	return wire.Finish(disk, nonce, res)
}

type runner struct {
	Options
	disk  *os.File
	times wire.Times

	mu     sync.Mutex // of events
	events io.Writer
}

func (r *runner) emit(e wire.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events.Write(e.Encode()) // without a reader progress is lost, and nothing else
}

// reached notes that a part of the work is done.
func (r *runner) reached(at *float64, name string) {
	*at = machine.Uptime()
	r.emit(wire.Event{Kind: wire.EventBoot, Text: name, Seconds: *at})
}

func (r *runner) run(ctx context.Context) wire.Result {
	failed := func(kind string, err error) wire.Result {
		return wire.Result{Failure: &wire.Failure{Kind: kind, Message: err.Error()}, Memory: machine.Memory()}
	}
	size, err := r.disk.Seek(0, io.SeekEnd)
	if err != nil {
		return failed(wire.FailInternal, err)
	}
	task, closeInput, err := r.open()
	if err != nil {
		return failed(wire.FailInput, err)
	}
	defer closeInput()
	r.reached(&r.times.Inputs, "inputs read")
	watched := r.Embedded
	if watched == "" {
		watched = os.TempDir()
	}
	watch := machine.StartWatch(watched)
	payload := wire.NewPayloadWriter(r.disk, size)
	buffer := bufio.NewWriterSize(payload, bufferSize)
	task.Output = buffer
	var saved *saver
	if r.Embedded != "" && task.Inputs.Job.Cache != nil { // a daemon has its own
		saved = newSaver(task.Inputs.Cache, payload, buffer)
		task.Cache, task.Steps = true, &partial.Recorder{}
	}
	c, err := r.connect(ctx, saved, task.Steps)
	if err != nil {
		watch.Stop()
		return failed(wire.FailInternal, err)
	}
	defer c.close()
	r.reached(&r.times.BuildKit, "BuildKit ready")
	digest, failure := solve.Run(ctx, c.Client, task)
	if err := buffer.Flush(); err != nil && failure == nil {
		failure = &wire.Failure{Kind: wire.FailOutput, Message: err.Error()}
	}
	if err := c.err(); err != nil && failure == nil {
		failure = &wire.Failure{Kind: wire.FailInternal, Message: err.Error()}
	}
	r.reached(&r.times.Solved, "solved")
	if failure != nil {
		if r.Embedded != "" {
			watch.Explain(failure)
		}
		return wire.Result{Failure: failure, Cache: r.finishFailed(ctx, c, task, saved, failure.Kind), Memory: watch.Stop()}
	}
	p := payload.Payload()
	p.Digest = digest
	return wire.Result{Payload: &p, Cache: r.finish(saved), Memory: watch.Stop()}
}

// finish completes the cache. Without it the image is as good.
func (r *runner) finish(s *saver) *wire.Payload {
	p, err := s.finish()
	if err != nil {
		r.emit(wire.Event{Kind: wire.EventWarn, Text: err.Error()})
	}
	return p
}

// finishFailed completes the cache of a solve that the user's files made fail. After other failures there may be no room
// for it.
func (r *runner) finishFailed(ctx context.Context, c *connection, t solve.Task, s *saver, kind string) *wire.Payload {
	if s == nil || !slices.Contains([]string{wire.FailRun, wire.FailDockerfile, wire.FailSource}, kind) {
		return nil
	}
	err := solve.SaveCache(ctx, c.Client, t)
	if err == nil {
		err = c.err()
	}
	if err != nil {
		r.emit(wire.Event{Kind: wire.EventWarn, Text: fmt.Sprintf("the cache cannot be saved: %v", err)})
		return nil
	}
	return r.finish(s)
}

// open reads the input disk and the secrets.
func (r *runner) open() (t solve.Task, closeInput func(), err error) {
	f, err := os.Open(r.Input)
	if err != nil {
		return t, nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		t.Inputs, err = inputs.Open(f, size)
	}
	if err == nil && r.Secrets != "" {
		t.Secrets, err = readSecrets(r.Secrets)
	}
	if err != nil {
		f.Close()
		return t, nil, err
	}
	t.Events, t.HostNetwork = r.emit, r.Embedded != ""
	return t, func() { f.Close() }, nil
}

func readSecrets(name string) (wire.Secrets, error) {
	f, err := os.Open(name)
	if err != nil {
		return wire.Secrets{}, err
	}
	defer f.Close()
	return wire.ReadSecrets(f)
}

// connection is a BuildKit to solve with.
type connection struct {
	*client.Client
	close func()
	err   func() error // what it did not tell its client
}

// connect starts BuildKit, or connects to a daemon.
func (r *runner) connect(ctx context.Context, saved *saver, steps *partial.Recorder) (*connection, error) {
	if r.Embedded == "" {
		c, err := r.Daemon.connect(ctx)
		if err != nil {
			return nil, err
		}
		return &connection{c, func() { c.Close() }, func() error { return nil }}, nil
	}
	resolv, err := os.ReadFile(pid1.ResolvFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	o := buildkit.Options{Root: r.Embedded, Resolv: string(resolv), Steps: steps}
	if saved != nil {
		o.Cache = saved.store
	}
	s, err := buildkit.Start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start BuildKit: %w", err)
	}
	return &connection{s.Client, s.Close, s.Err}, nil
}
