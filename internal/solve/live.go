package solve

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Live shows events on a terminal: what is done as lines that stay, and below them the steps that run, each with its time
// and the last line that it wrote, drawn anew as they go on.
type Live struct {
	w     io.Writer
	width int // of the terminal, in characters
	now   func() time.Time

	mu      sync.Mutex
	running []*liveStep // in the order of their start
	drawn   int         // lines of the block on the screen
	stop    chan struct{}
	stopped chan struct{}
}

type liveStep struct {
	number     int
	name, said string
	start      time.Time
}

// liveTick is how often the times of running steps are drawn.
const liveTick = 250 * time.Millisecond

// NewLive starts to show events on w, a terminal of that width. Close ends it.
func NewLive(w io.Writer, width int) *Live {
	l := &Live{w: w, width: max(20, width), now: time.Now, stop: make(chan struct{}), stopped: make(chan struct{})}
	go l.tick()
	return l
}

func (l *Live) tick() {
	defer close(l.stopped)
	ticker := time.NewTicker(liveTick)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
			l.mu.Lock()
			l.draw("")
			l.mu.Unlock()
		}
	}
}

// Close takes the running steps off the screen.
func (l *Live) Close() {
	close(l.stop)
	<-l.stopped
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = nil
	l.draw("")
}

// Event shows an event.
func (l *Live) Event(e wire.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case wire.EventStart:
		l.running = append(l.running, &liveStep{number: e.Step, name: printable(e.Text), start: l.now()})
		l.draw("")
	case wire.EventLog:
		if s := l.step(e.Step); s != nil {
			s.said = printable(e.Text)
		}
	case wire.EventDone:
		l.done(e)
	case wire.EventWarn:
		l.draw("warning: " + printable(e.Text))
	case wire.EventBoot:
		l.draw(fmt.Sprintf("  machine: %s after %.1f s", printable(e.Text), e.Seconds))
	}
}

func (l *Live) step(number int) *liveStep {
	for _, s := range l.running {
		if s.number == number {
			return s
		}
	}
	return nil
}

func (l *Live) done(e wire.Event) {
	name := ""
	for i, s := range l.running {
		if s.number == e.Step {
			name = s.name
			l.running = append(l.running[:i], l.running[i+1:]...)
			break
		}
	}
	switch {
	case e.Error != "":
		l.draw("✗ " + name)
	case e.Cached:
		l.draw("= " + name + " (cached)")
	default:
		l.draw(fmt.Sprintf("✓ %s  %.1f s", name, e.Seconds))
	}
}

// draw replaces the block of running steps, with a line above it that stays if it is not empty.
func (l *Live) draw(line string) {
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", l.drawn) // up, and erase from there (ECMA-48, CUU and ED)
	}
	if line != "" {
		b.WriteString(l.fit(line) + "\n")
	}
	l.drawn = 0
	for _, s := range l.running {
		b.WriteString(l.fit(fmt.Sprintf("▸ %s  %.1f s", s.name, l.now().Sub(s.start).Seconds())) + "\n")
		l.drawn++
		if s.said != "" {
			b.WriteString(l.fit("  │ "+s.said) + "\n")
			l.drawn++
		}
	}
	io.WriteString(l.w, b.String())
}

// fit cuts a line to the terminal's width: a line that wraps would be two when it is erased.
func (l *Live) fit(line string) string {
	line = strings.ReplaceAll(line, "\t", " ")
	if utf8.RuneCountInString(line) <= l.width {
		return line
	}
	return string([]rune(line)[:l.width-1]) + "…"
}
