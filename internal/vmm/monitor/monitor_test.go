//go:build linux

package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// slow is a receiver that takes its time.
type slow struct {
	bytes.Buffer
	wait time.Duration
}

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(s.wait)
	return s.Buffer.Write(p)
}

func pipe(t *testing.T, to io.Writer) *Stream {
	t.Helper()
	s, err := Pipe(to)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t *testing.T, script string, stdout *Stream, extra ...*Stream) *Process {
	t.Helper()
	p, err := Start(t.Context(), "the program", []string{"/bin/sh", "-c", script}, "", nil, stdout, extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// TestSlowReceivers has receivers take longer than a stream waits for a process that lingers.
func TestSlowReceivers(t *testing.T) {
	const size = 64 << 10 // two pieces for each receiver
	a, b := &slow{wait: lingering * 6 / 5}, &slow{wait: lingering * 6 / 5}
	script := fmt.Sprintf("head -c %d /dev/zero; head -c %d /dev/zero >&3", size, size)
	if err := start(t, script, pipe(t, a), pipe(t, b)).Wait(); err != nil {
		t.Error(err)
	}
	if a.Len() != size || b.Len() != size {
		t.Errorf("%d and %d bytes, want %d", a.Len(), b.Len(), size)
	}
}

// TestLingering has a process that the program left behind hold its pipes.
func TestLingering(t *testing.T) {
	for _, kept := range []string{"2>/dev/null", ">/dev/null", ""} {
		script := "sleep 5 " + kept + " & echo hello"
		out := &slow{}
		begin := time.Now()
		if err := start(t, script, pipe(t, out)).Wait(); err != nil || out.String() != "hello\n" {
			t.Errorf("%s: %v, %q", script, err, out.String())
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("%s: took %v", script, took)
		}
	}
}

func TestErrors(t *testing.T) {
	const want = "the program failed (exit status 3): one two"
	if err := start(t, "echo one; echo two >&2; exit 3", nil).Wait(); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	out := pipe(t, io.Discard)
	if _, err := Start(t.Context(), "x", []string{filepath.Join(t.TempDir(), "none")}, "", nil, out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	select {
	case <-out.done:
	case <-time.After(10 * time.Second):
		t.Error("the stream of a program that did not start goes on")
	}
}

// TestFifo opens the pipe twice, as a program that cuts its file does.
func TestFifo(t *testing.T) {
	out := &slow{wait: time.Millisecond}
	path := filepath.Join(t.TempDir(), "fifo")
	f, err := Fifo(path, out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Fifo(path, out); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	script := "f=" + path + "; echo one >$f; sleep 0.1; echo two >$f; head -c 300000 /dev/zero >$f"
	if err := start(t, script, nil).Wait(); err != nil {
		t.Error(err)
	}
	f.Finish()
	if got := out.String(); len(got) != 300008 || got[:8] != "one\ntwo\n" {
		t.Errorf("%d bytes, %.20q", len(got), got)
	}
}
