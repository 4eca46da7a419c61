package solve

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// screen is a terminal that knows two control sequences: up by n lines, and erase from here.
func screen(t *testing.T, text string) []string {
	t.Helper()
	lines, at := []string{""}, 0
	for len(text) > 0 {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			n := 0
			for rest[0] >= '0' && rest[0] <= '9' {
				n, rest = 10*n+int(rest[0]-'0'), rest[1:]
			}
			switch rest[0] {
			case 'A':
				at -= n
			case 'J':
				lines = append(lines[:at:at], "")
			default:
				t.Fatalf("unknown control %q", rest[:1])
			}
			text = rest[1:]
			continue
		}
		i := strings.IndexAny(text, "\n\x1b")
		if i < 0 {
			i = len(text)
		}
		lines[at] += text[:i]
		if text = text[i:]; strings.HasPrefix(text, "\n") {
			text, at = text[1:], at+1
			if at == len(lines) {
				lines = append(lines, "")
			}
		}
	}
	return lines
}

func TestLive(t *testing.T) {
	var out strings.Builder
	clock := time.Unix(0, 0)
	l := &Live{w: &out, width: 40, now: func() time.Time { return clock }, stop: make(chan struct{}), stopped: make(chan struct{})}
	close(l.stopped) // no ticks: they would race with the clock
	show := func(e wire.Event) {
		l.Event(e)
		clock = clock.Add(500 * time.Millisecond)
	}
	show(wire.Event{Kind: wire.EventBoot, Text: "init", Seconds: 2})
	show(wire.Event{Kind: wire.EventStart, Step: 1, Text: "[1/3] COPY a b"})
	show(wire.Event{Kind: wire.EventStart, Step: 2, Text: "[2/3] RUN make all the things that there are to make"})
	show(wire.Event{Kind: wire.EventLog, Step: 2, Text: "cc \x1b[31mred\tx.c"})
	show(wire.Event{Kind: wire.EventDone, Step: 1, Seconds: 0.5})
	want := []string{
		"  machine: init after 2.0 s", "✓ [1/3] COPY a b  0.5 s",
		"▸ [2/3] RUN make all the things that th…", "  │ cc [31mred x.c", "",
	}
	if diff := cmp.Diff(want, screen(t, out.String())); diff != "" {
		t.Errorf("in the middle (-want +got):\n%s", diff)
	}
	show(wire.Event{Kind: wire.EventWarn, Text: "old"})
	show(wire.Event{Kind: wire.EventDone, Step: 2, Error: "exit code: 1"})
	show(wire.Event{Kind: wire.EventStart, Step: 3, Text: "[3/3] RUN true"})
	show(wire.Event{Kind: wire.EventDone, Step: 3, Cached: true})
	show(wire.Event{Kind: wire.EventStart, Step: 4, Text: "exporting"})
	l.Close()
	want = append(want[:2:2], "warning: old", "✗ [2/3] RUN make all the things that th…", "= [3/3] RUN true (cached)", "")
	if diff := cmp.Diff(want, screen(t, out.String())); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
}

func TestLiveTicks(t *testing.T) {
	var out strings.Builder
	l := NewLive(&out, 80)
	l.Event(wire.Event{Kind: wire.EventStart, Step: 1, Text: "RUN sleep"})
	time.Sleep(3 * liveTick)
	l.Close()
	if n := strings.Count(out.String(), "RUN sleep"); n < 2 {
		t.Errorf("drawn %d times", n)
	}
	if got := screen(t, out.String()); len(got) != 1 {
		t.Errorf("left on the screen: %q", got)
	}
}
