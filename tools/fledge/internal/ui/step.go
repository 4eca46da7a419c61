package ui

import (
	"fmt"
	"io"
	"time"
)

// Step is a piece of work that takes time.
type Step struct {
	u        *UI
	number   int
	name     string
	began    time.Time
	done     int64
	total    int64 // 0 as long as it is not known
	reported time.Time
	bar      *bar
	ended    bool
}

// progressPause is how often a step's progress is told in JSON, and how long a step takes before plain lines tell that
// it has begun.
const progressPause = 500 * time.Millisecond

// Step begins a step.
func (u *UI) Step(format string, args ...any) *Step {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steps++
	s := &Step{u: u, number: u.steps, name: fmt.Sprintf(format, args...), began: time.Now()}
	switch u.mode {
	case JSON:
		u.write(event{Event: "start", Step: s.number, Name: s.name})
	case Plain:
		u.line("%s …", s.name)
	case Live:
		if u.bars == nil {
			u.bars = newBars(u.err, u.width)
		}
		s.bar = u.bars.add(s.name)
	}
	return s
}

// Progress tells how far the step is, of total, in bytes; 0 is an unknown total.
func (s *Step) Progress(done, total int64) {
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	s.done, s.total = done, total
	switch {
	case s.ended:
	case s.bar != nil:
		s.bar.set(done, total)
	case s.u.mode == JSON && time.Since(s.reported) >= progressPause:
		s.reported = time.Now()
		s.u.write(event{Event: "progress", Step: s.number, Done: done, Total: total})
	}
}

// Add tells that n more bytes are done.
func (s *Step) Add(n int64) {
	s.u.mu.Lock()
	done, total := s.done+n, s.total
	s.u.mu.Unlock()
	s.Progress(done, total)
}

// Reader reads from r and tells of it as progress.
func (s *Step) Reader(r io.Reader, total int64) io.Reader {
	s.Progress(0, total)
	return &countingReader{r, s}
}

type countingReader struct {
	r io.Reader
	s *Step
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.s.Add(int64(n))
	return n, err
}

// Done ends the step. The message tells what came of it.
func (s *Step) Done(format string, args ...any) {
	s.end("done", fmt.Sprintf(format, args...))
}

// End ends the step if it is not ended: what is left to say is an error, which the caller gets.
func (s *Step) End() { s.end("failed", "") }

func (s *Step) end(name, message string) {
	u := s.u
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	seconds := time.Since(s.began).Seconds()
	if s.bar != nil {
		s.bar.remove()
	}
	switch {
	case u.mode == JSON:
		u.write(event{Event: name, Step: s.number, Message: message, Seconds: seconds})
	case u.mode == Quiet || name == "failed":
	default:
		u.line("%s: %s (%.1f s)", s.name, message, seconds)
	}
}
