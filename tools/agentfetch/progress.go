package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	barWidth     = 30
	barInterval  = 100 * time.Millisecond
	lineInterval = 5 * time.Second
)

// progress tells how far a file is: a bar that redraws itself on a terminal, and a line now and then elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	last     time.Time
	drawn    bool // whether a bar is on the last line
}

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &progress{w: f, terminal: terminal, now: time.Now}
}

// bytes is told of the bytes that came; total -1 is unknown.
func (p *progress) bytes(done, total int64) {
	interval := lineInterval
	if p.terminal {
		interval = barInterval
	}
	now := p.now()
	if p.last.IsZero() && !p.terminal {
		p.last = now // small files need no line
	}
	if now.Sub(p.last) < interval && done != total {
		return
	}
	if done == total && !p.terminal {
		p.last = time.Time{}
		return // what comes next says that it is done
	}
	p.last = now
	text := megabytes(done)
	if total > 0 {
		text = fmt.Sprintf("%3d%% of %s", done*100/total, megabytes(total))
	}
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	bar := ""
	if total > 0 {
		full := int(done * barWidth / total)
		bar = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "] "
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s%s", bar, text)
	p.drawn = true
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// note prints a line, in the place of a bar.
func (p *progress) note(message string) {
	p.clear()
	fmt.Fprintln(p.w, message)
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
