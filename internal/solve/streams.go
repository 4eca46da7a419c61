package solve

import (
	"maps"
	"slices"
	"sync"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// maxRunning is how many steps may run at once: more are not of a Dockerfile, but of a guest that was taken over.
const maxRunning = 1000

// progress cuts the progress console into events. A line that is none is dropped: the solve's result does not come that
// way.
type progress struct {
	event func(wire.Event)

	mu    sync.Mutex
	lines vmm.LineWriter
	steps map[int]string // names of those that run
	said  string         // what was last logged
}

func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines.Line == nil {
		p.lines = vmm.LineWriter{Max: wire.MaxEvent, Line: p.take}
	}
	return p.lines.Write(b)
}

func (p *progress) take(line []byte) {
	e, err := wire.DecodeEvent(line)
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
