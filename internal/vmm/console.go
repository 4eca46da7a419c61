package vmm

import (
	"bytes"
	"strings"
	"sync"
)

// consoleSize is how much of a console's end is kept, in bytes.
const consoleSize = 64 << 10

// ConsoleEnd keeps the end of what is written to it, for Spec.Console. Its zero value is ready.
type ConsoleEnd struct {
	mu sync.Mutex
	b  []byte
}

func (c *ConsoleEnd) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b = append(c.b, p...)
	c.b = c.b[max(0, len(c.b)-consoleSize):]
	return len(p), nil
}

// Text is the last 64 KiB, without carriage returns.
func (c *ConsoleEnd) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(string(c.b), "\r", "")
}

// LastLines is the last 15 lines, to follow an error's text.
func (c *ConsoleEnd) LastLines() string {
	const most = 15
	lines := strings.Split(strings.TrimSpace(c.Text()), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return "\nits console is empty"
	}
	lines = lines[max(0, len(lines)-most):]
	return "\nits console ends with:\n    " + strings.Join(lines, "\n    ")
}

// LineWith is the first line with part in it, from there on, or "".
func (c *ConsoleEnd) LineWith(part string) string {
	for line := range strings.Lines(c.Text()) {
		if i := strings.Index(line, part); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
	}
	return ""
}

// LineWriter passes whole lines on, without the line feed and a carriage return before it. Longer ones than Max bytes are
// dropped.
type LineWriter struct {
	Max  int
	Line func(line []byte) // must not keep line

	line []byte
	skip bool // the rest of a line that is too long
}

func (w *LineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		part, rest, ends := bytes.Cut(p, []byte{'\n'})
		if w.skip = w.skip || len(w.line)+len(part) > w.Max+1; !w.skip {
			w.line = append(w.line, part...)
		}
		if !ends {
			return n, nil
		}
		if !w.skip {
			w.Line(bytes.TrimSuffix(w.line, []byte{'\r'}))
		}
		w.line, w.skip, p = w.line[:0], false, rest
	}
}
