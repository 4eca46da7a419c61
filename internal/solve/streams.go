package solve

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// consoleSize is how much of the console's end is kept, in bytes.
const consoleSize = 64 << 10

// console keeps the end of what the kernel prints.
type console struct {
	mu sync.Mutex
	b  []byte
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b = append(c.b, p...)
	c.b = c.b[max(0, len(c.b)-consoleSize):]
	return len(p), nil
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(string(c.b), "\r", "")
}

// end is the console's last lines, to follow an error's text.
func (c *console) end() string {
	const most = 15
	lines := strings.Split(strings.TrimSpace(c.text()), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return "\nits console is empty"
	}
	lines = lines[max(0, len(lines)-most):]
	return "\nits console ends with:\n    " + strings.Join(lines, "\n    ")
}

// maxRunning is how many steps may run at once: more are not of a Dockerfile, but of a guest that was taken over.
const maxRunning = 1000

// progress cuts the progress console into events. A line that is none is dropped: the solve's result does not come that
// way.
type progress struct {
	event func(wire.Event)

	mu    sync.Mutex
	line  []byte
	skip  bool           // the rest of a line that is too long
	steps map[int]string // names of those that run
	said  string         // what was last logged
}

func (p *progress) Write(b []byte) (int, error) {
	n := len(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		p.add(b[:i])
		if !p.skip {
			p.take(p.line)
		}
		p.line, p.skip, b = p.line[:0], false, b[i+1:]
	}
	p.add(b)
	return n, nil
}

// add adds to the line, up to what a line may have.
func (p *progress) add(b []byte) {
	if p.skip = p.skip || len(p.line)+len(b) > wire.MaxEvent+1; !p.skip {
		p.line = append(p.line, b...)
	}
}

func (p *progress) take(line []byte) {
	e, err := wire.DecodeEvent(bytes.TrimSuffix(line, []byte{'\r'}))
	if err != nil {
		return
	}
	switch e.Kind {
	case wire.EventStart:
		if p.steps == nil {
			p.steps = map[int]string{}
		}
		if len(p.steps) >= maxRunning {
			return
		}
		p.steps[e.Step] = e.Text
	case wire.EventDone:
		delete(p.steps, e.Step)
	case wire.EventLog:
		p.said = e.Text
	}
	if p.event != nil {
		p.event(e)
	}
}

// last is what the guest was at, to follow an error's text.
func (p *progress) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := ""
	for _, step := range slices.Sorted(maps.Keys(p.steps)) {
		text += "\nit was at: " + p.steps[step]
	}
	if text != "" && p.said != "" {
		text += "\nits output ended with: " + p.said
	}
	return text
}
