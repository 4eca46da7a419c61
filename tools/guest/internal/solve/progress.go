package solve

import (
	"bytes"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/partial"
)

// progress turns BuildKit's status into events, and remembers what a failure tells of its step.
type progress struct {
	emit     func(wire.Event)
	steps    map[digest.Digest]*stepState
	statuses map[string]int64 // what was last told of a status, by step and name
}

type stepState struct {
	number        int
	name          string
	started, done bool
	failed        bool
	partial       map[int][]byte // by stream: a line without its end
	tail          []string       // the last lines
}

func newProgress(emit func(wire.Event)) *progress {
	return &progress{emit: emit, steps: map[digest.Digest]*stepState{}, statuses: map[string]int64{}}
}

// follow works until the channel is closed.
func (p *progress) follow(ch <-chan *client.SolveStatus) {
	for st := range ch {
		for _, v := range st.Vertexes {
			p.start(v)
		}
		for _, s := range st.Statuses {
			p.status(s)
		}
		for _, l := range st.Logs {
			p.log(l)
		}
		for _, w := range st.Warnings {
			p.emit(wire.Event{Kind: wire.EventWarn, Text: string(w.Short)})
		}
		for _, v := range st.Vertexes {
			p.end(v) // after its last lines
		}
	}
}

func (p *progress) start(v *client.Vertex) {
	s := p.step(v.Digest)
	s.name = v.Name
	if v.Started != nil && !s.started {
		s.started = true
		if s.number == 0 {
			s.number = p.numbered() + 1
		}
		p.emit(wire.Event{Kind: wire.EventStart, Step: s.number, Text: v.Name})
	}
}

func (p *progress) end(v *client.Vertex) {
	s := p.step(v.Digest)
	if v.Completed == nil || s.done || !s.started {
		return
	}
	s.done, s.failed = true, v.Error != ""
	for stream := 1; stream <= 2; stream++ {
		if len(s.partial[stream]) > 0 {
			p.line(s, stream, s.partial[stream])
		}
	}
	s.partial = nil
	p.emit(wire.Event{Kind: wire.EventDone, Step: s.number, Cached: v.Cached, Error: v.Error,
		Seconds: v.Completed.Sub(*v.Started).Round(time.Millisecond).Seconds()})
}

func (p *progress) numbered() (n int) {
	for _, s := range p.steps {
		if s.number > 0 {
			n++
		}
	}
	return n
}

// status tells of a part of a step when a tenth more of it is done, so that a large export does not flood the console.
func (p *progress) status(st *client.VertexStatus) {
	s := p.step(st.Vertex)
	if !s.started {
		return
	}
	key := st.Vertex.String() + st.ID
	told, known := p.statuses[key]
	if known && (st.Total <= 0 || st.Current-told < st.Total/10) && st.Completed == nil {
		return
	}
	if known && told == st.Current {
		return
	}
	p.statuses[key] = st.Current
	p.emit(wire.Event{Kind: wire.EventStatus, Step: s.number, Text: st.ID, Current: st.Current, Total: st.Total})
}

// maxPartial bounds a line that does not end, in bytes.
const maxPartial = 4 << 10

func (p *progress) log(l *client.VertexLog) {
	s := p.step(l.Vertex)
	if s.partial == nil {
		s.partial = map[int][]byte{}
	}
	data := append(s.partial[l.Stream], l.Data...)
	for {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if !whole && len(data) < maxPartial {
			break
		}
		p.line(s, l.Stream, line)
		data = rest
	}
	s.partial[l.Stream] = bytes.Clone(data)
}

func (p *progress) line(s *stepState, stream int, line []byte) {
	text := strings.ToValidUTF8(strings.TrimSuffix(string(line), "\r"), "\uFFFD")
	s.tail = append(s.tail, text)
	s.tail = s.tail[max(0, len(s.tail)-wire.MaxOutputLines):]
	p.emit(wire.Event{Kind: wire.EventLog, Step: s.number, Stream: stream, Text: text})
}

func (p *progress) step(d digest.Digest) *stepState {
	s := p.steps[d]
	if s == nil {
		s = &stepState{}
		p.steps[d] = s
	}
	return s
}

// about is the name of a step and the last lines it wrote.
func (p *progress) about(d string) (name string, output []string) {
	if s := p.steps[digest.Digest(d)]; s != nil {
		return s.name, s.tail
	}
	return "", nil
}

// tellDone notes all steps that went well.
func (p *progress) tellDone(r *partial.Recorder) {
	for d, s := range p.steps {
		if s.done && !s.failed {
			r.Done(d)
		}
	}
}
