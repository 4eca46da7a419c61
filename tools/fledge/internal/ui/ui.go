// Package ui tells of the steps of a command: bars on a terminal, plain lines elsewhere, or one JSON object a line for
// programs.
//
// The JSON objects have "event": "start", "progress" and "done" with the number of the "step", "warning" with a "message",
// and at the end "result" or "error". Sizes are in bytes, times in seconds.
package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/terminal"
)

// Modes of a UI.
const (
	Auto  = "auto"  // Live on a terminal, else Plain
	Live  = "live"  // bars
	Plain = "plain" // a line when a step begins that may take long, and one when it is done
	Quiet = "quiet" // warnings alone
	JSON  = "json"  // one object a line, on standard output
)

// UI shows steps. Its methods may be called concurrently.
type UI struct {
	mode     string
	out, err io.Writer
	width    int // of the terminal
	began    time.Time

	mu    sync.Mutex
	steps int
	bars  *bars // of Live, while there are any
}

// New makes a UI for a mode. Results go to out, all else to err; with JSON everything goes to out.
func New(out, err io.Writer, mode string) *UI {
	u := &UI{mode: mode, out: out, err: err, width: terminal.Width(err), began: time.Now()}
	if mode == Auto {
		u.mode = Plain
		if u.width > 0 {
			u.mode = Live
		}
	}
	if u.width == 0 {
		u.width = 80
	}
	return u
}

// event is a line of JSON.
type event struct {
	Event   string  `json:"event"`
	Step    int     `json:"step,omitempty"`
	Name    string  `json:"name,omitempty"`
	Done    int64   `json:"done,omitempty"`
	Total   int64   `json:"total,omitempty"`
	Message string  `json:"message,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// write writes a line of JSON. u.mu is held.
func (u *UI) write(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // all that is written has plain fields
	}
	u.out.Write(append(b, '\n'))
}

// line writes a line of text, above the bars if there are any. u.mu is held.
func (u *UI) line(format string, args ...any) {
	text := solve.PrintableLines(fmt.Sprintf(format, args...)) + "\n"
	if u.bars != nil {
		u.bars.print(text)
		return
	}
	io.WriteString(u.err, text)
}

// Warn shows a warning, in every mode.
func (u *UI) Warn(message string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mode == JSON {
		u.write(event{Event: "warning", Message: message})
		return
	}
	u.line("warning: %s", message)
}

// Note shows something worth knowing.
func (u *UI) Note(message string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch u.mode {
	case JSON:
		u.write(event{Event: "note", Message: message})
	case Live, Plain:
		u.line("%s", message)
	}
}

// Seconds is the time since New.
func (u *UI) Seconds() float64 { return time.Since(u.began).Seconds() }

// Result shows what a command made: the lines of text, or the object of JSON, which should have "event": "result".
func (u *UI) Result(lines []string, object any) {
	u.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mode == JSON {
		u.write(object)
		return
	}
	for _, line := range lines {
		fmt.Fprintln(u.out, line)
	}
}

// Error shows the end of a command that failed, if the mode has a form for that; else the caller does.
func (u *UI) Error(err error) {
	u.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mode == JSON {
		u.write(event{Event: "error", Message: err.Error(), Seconds: u.Seconds()})
	}
}

// Close takes the bars off the screen.
func (u *UI) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bars != nil {
		u.bars.close()
		u.bars = nil
	}
}

// Events gives what shows the events of a solve, and what ends that.
func (u *UI) Events() (show func(wire.Event), done func()) {
	switch u.mode {
	case JSON:
		return func(e wire.Event) {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.write(struct {
				Event string     `json:"event"`
				Solve wire.Event `json:"solve"`
			}{"solve", e})
		}, func() {}
	case Quiet:
		return solve.Warnings(u.err), func() {}
	case Live:
		u.Close() // two would draw over each other
		l := solve.NewLive(u.err, u.width)
		return l.Event, l.Close
	}
	return solve.Plain(u.err), func() {}
}
