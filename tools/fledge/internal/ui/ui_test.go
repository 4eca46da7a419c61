package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// locked is a buffer that the bars' goroutine may write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// session shows some steps in a mode.
func session(mode string) (out, err string) {
	var o, e locked
	u := New(&o, &e, mode)
	s := u.Step("pull %s", "nginx")
	s.Progress(500, 1000)
	s.Add(500)
	s.Done("1.0 kB")
	s.Done("twice")
	u.Note("no KVM here")
	u.Warn("a\x1b[2J file")
	failed := u.Step("pack")
	failed.End()
	u.Result([]string{"web.img: 3 B"}, map[string]string{"event": "result"})
	return o.String(), e.String()
}

var seconds = regexp.MustCompile(`[0-9.]+(e-[0-9]+)? s\)`)

func TestModes(t *testing.T) {
	for mode, want := range map[string]string{
		Plain: "pull nginx …\npull nginx: 1.0 kB (N)\nno KVM here\nwarning: a[2J file\npack …\n",
		Auto:  "pull nginx …\npull nginx: 1.0 kB (N)\nno KVM here\nwarning: a[2J file\npack …\n", // a buffer is no terminal
		Quiet: "warning: a[2J file\n",
	} {
		out, err := session(mode)
		if got := seconds.ReplaceAllString(err, "N)"); got != want || out != "web.img: 3 B\n" {
			t.Errorf("%s: %q and %q, want %q", mode, out, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	out, err := session(JSON)
	if err != "" {
		t.Errorf("standard error has %q", err)
	}
	var got []string
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, e.Event)
	}
	if want := "start progress done note warning start failed result"; strings.Join(got, " ") != want {
		t.Errorf("events %q, want %q", got, want)
	}
	var o, e bytes.Buffer
	New(&o, &e, JSON).Error(errors.New("no"))
	if !strings.Contains(o.String(), `"event":"error","message":"no"`) {
		t.Errorf("an error is %q", o.String())
	}
}

// TestLive has the lines of what is done stay, and the bars go.
func TestLive(t *testing.T) {
	var o, e locked
	u := New(&o, &e, Live)
	s := u.Step("pull nginx")
	s.Progress(500, 1000)
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(e.String(), "500 B of 1.0 kB"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no bar in %q", e.String())
		}
	}
	s.Done("1.0 kB")
	u.Step("pack").End()
	u.Result([]string{"web.img"}, nil)
	if got := e.String(); !strings.Contains(got, "pull nginx: 1.0 kB (") || strings.Contains(got, "pack:") {
		t.Errorf("it showed %q", got)
	}
	if o.String() != "web.img\n" {
		t.Errorf("the result is %q", o.String())
	}
}

func TestBarLine(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		width       int
		want        string
	}{
		{0, 0, 60, "pull nginx  1.5 s"},
		{1234567, 0, 60, "pull nginx  1.2 MB  1.5 s"},
		{50, 100, 80, "pull nginx  [##########          ]  50 B of 100 B  1.5 s"},
		{200, 100, 80, "pull nginx  [####################]  200 B of 100 B  1.5 s"},
		{0, 0, 16, "pull ng…  1.5 s"},
	} {
		if got := barLine("pull nginx", c.done, c.total, 1500*time.Millisecond, c.width); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.done, c.total, got, c.want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 3424256: "3.4 MB", 12e9: "12.0 GB", 9e18: "9000.0 PB",
	} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
