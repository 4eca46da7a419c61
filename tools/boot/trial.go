package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fledge-build/fledge/internal/vmm"
)

// trial is one boot.
type trial struct {
	spec    *spec
	console *console
	log     io.Writer
}

func (t *trial) run(ctx context.Context) error {
	ms, err := t.spec.machine(t.console)
	if err != nil {
		return err
	}
	driver, err := t.spec.driver(func(note string) {
		t.say("%s", note)
		t.console.restart()
	})
	if err != nil {
		return err
	}
	limit := fmt.Errorf("time limit of %v reached", t.spec.timeout())
	ctx, cancel := context.WithTimeoutCause(ctx, t.spec.timeout(), limit)
	defer cancel()
	t.console.restart()
	m, err := driver.Start(ctx, ms)
	if err != nil {
		return err
	}
	defer m.Stop()
	if err := t.watch(ctx, m); err != nil {
		m.Stop() // all it has printed must be there for the report
		t.report(m)
		return err
	}
	t.say("PASS in %.1f s", t.console.elapsed().Seconds())
	return nil
}

// watch returns nil when all that is expected has happened.
func (t *trial) watch(ctx context.Context, m vmm.Machine) error {
	off := make(chan error, 1)
	go func() { off <- m.Wait() }()
	var answered chan string
	poll := &poller{url: "http://" + m.Addr(t.spec.HTTP.Port) + t.spec.HTTP.Path, expect: t.spec.HTTP.Expect}
	if t.spec.HTTP.Port != 0 {
		pollCtx, cancel := context.WithCancel(ctx)
		answered = make(chan string, 1)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			poll.run(pollCtx, answered)
		}()
		defer func() {
			cancel()
			<-stopped
		}()
	}
	left := len(t.console.wants)
	waitsForOff := left == 0 && answered == nil
	first := t.console.first
	for left > 0 || answered != nil || waitsForOff {
		select {
		case <-first:
			t.say("first console output after %.1f s", t.console.elapsed().Seconds())
			first = nil
		case w := <-t.console.met:
			t.say("%s after %.1f s", w.name, w.met.Seconds())
			left--
		case status := <-answered:
			t.say("HTTP %s from port %d after %.1f s", status, t.spec.HTTP.Port, t.console.elapsed().Seconds())
			answered = nil
		case err := <-off:
			return t.ended(ctx, err, left, answered != nil, poll)
		}
	}
	return nil
}

// ended judges a machine that is off: it is well if nothing is left to happen.
func (t *trial) ended(ctx context.Context, err error, left int, unanswered bool, poll *poller) error {
	for ; len(t.console.met) > 0; left-- { // the last lines may have come together with the end
		w := <-t.console.met
		t.say("%s after %.1f s", w.name, w.met.Seconds())
	}
	_, cause := t.console.end()
	what := "the machine powered off"
	switch {
	case ctx.Err() != nil:
		what = context.Cause(ctx).Error()
	case err != nil:
		what = err.Error()
	case left == 0 && !unanswered && (cause == "" || len(t.console.wants) > 0):
		return nil
	}
	var parts []string
	if missing := t.console.missing(); len(missing) > 0 {
		parts = append(parts, "not on the console: "+strings.Join(missing, ", "))
	}
	if unanswered {
		parts = append(parts, poll.failure())
	}
	if cause != "" {
		parts = append(parts, "the guest said: "+cause)
	}
	if len(parts) > 0 {
		what += "; " + strings.Join(parts, "; ")
	}
	return errors.New(what)
}

// report shows what helps to find the reason of a failure.
func (t *trial) report(m vmm.Machine) {
	if lines, _ := t.console.end(); !t.spec.verbose {
		t.say("the console's last %d lines:", len(lines))
		for _, line := range lines {
			fmt.Fprintln(t.log, line)
		}
	}
	if t.spec.Repeat != "" {
		t.say("to repeat the test: %s", t.spec.Repeat)
	}
	t.say("to repeat the boot: %s", shellCommand(m.Command()))
}

func (t *trial) say(format string, args ...any) { fmt.Fprintf(t.log, "boot: "+format+"\n", args...) }

// shellCommand quotes a command for a POSIX shell.
func shellCommand(args []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%"
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if a == "" || strings.Trim(a, plain) != "" {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

const (
	httpTimeout  = 5 * time.Second // of one request: one that the guest lost would otherwise take all the time
	httpInterval = 50 * time.Millisecond
	maxBody      = 1 << 20
)

// poller asks the guest until it answers as it should.
type poller struct {
	url, expect string
	last        atomic.Pointer[string] // why the last request failed
}

func (p *poller) failure() string {
	if why := p.last.Load(); why != nil {
		return "no answer over HTTP: " + *why
	}
	return "no answer over HTTP"
}

// run sends the status to answered when the answer is right. It ends then or with ctx.
func (p *poller) run(ctx context.Context, answered chan<- string) {
	client := &http.Client{Timeout: httpTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		status, err := p.get(ctx, client)
		if err == nil {
			answered <- status
			return
		}
		if ctx.Err() == nil {
			why := err.Error()
			p.last.Store(&why)
		}
		select {
		case <-ctx.Done():
		case <-time.After(httpInterval):
		}
	}
}

func (p *poller) get(ctx context.Context, client *http.Client) (status string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", resp.Status)
	}
	if !strings.Contains(string(body), p.expect) {
		return "", fmt.Errorf("status %s, but %q is not in the body: %.200q", resp.Status, p.expect, body)
	}
	return resp.Status, nil
}
