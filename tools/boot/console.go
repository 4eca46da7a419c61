package main

import (
	"io"
	"sync"
	"time"

	"github.com/fledge-build/fledge/internal/vmm"
)

const (
	tailLines = 40
	// maxLine bounds a line's length: a longer one counts as several.
	maxLine = 16 << 10
)

// want is something that a line of the console must have.
type want struct {
	name    string
	matches func(line string) bool
	met     time.Duration // since the start, 0 as long as it is not met
}

// console follows what the guest prints. It is written to by one goroutine while others ask.
type console struct {
	stream io.Writer     // gets whole lines; may be nil
	met    chan *want    // each want when it is met
	first  chan struct{} // closed with the first byte

	mu    sync.Mutex
	start time.Time
	wants []*want
	line  []byte   // the line so far
	lines []string // the last ones that are complete
	cause string   // the last line that tells of a failure
}

func newConsole(stream io.Writer, wants []*want) *console {
	return &console{
		stream: stream, wants: wants, start: time.Now(), met: make(chan *want, len(wants)), first: make(chan struct{}),
	}
}

// restart sets the time from which the others count.
func (c *console) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start = time.Now()
}

func (c *console) elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.start)
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.first:
	default:
		close(c.first)
	}
	for _, b := range p {
		switch {
		case b == '\n':
			c.endLine()
		case b != '\r':
			if c.line = append(c.line, b); len(c.line) == maxLine {
				c.endLine()
			}
		}
	}
	c.look(string(c.line)) // a prompt has no end of line
	return len(p), nil
}

func (c *console) endLine() {
	line := string(c.line)
	c.line = c.line[:0]
	c.look(line)
	if vmm.TellsFailure(line) {
		c.cause = line
	}
	c.lines = append(c.lines, line)
	if len(c.lines) > tailLines {
		c.lines = c.lines[1:]
	}
	if c.stream != nil {
		io.WriteString(c.stream, line+"\n")
	}
}

func (c *console) look(line string) {
	for _, w := range c.wants {
		if w.met == 0 && w.matches(line) {
			w.met = time.Since(c.start)
			c.met <- w
		}
	}
}

// missing lists the names of the wants that are not met.
func (c *console) missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, w := range c.wants {
		if w.met == 0 {
			names = append(names, w.name)
		}
	}
	return names
}

// end is the last of what was printed, and the line that tells of a failure or "".
func (c *console) end() (lines []string, cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines = append(lines, c.lines...)
	if len(c.line) > 0 {
		lines = append(lines, string(c.line))
	}
	return lines, c.cause
}
