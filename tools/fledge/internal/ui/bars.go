package ui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bars are the running steps at the foot of a terminal.
type bars struct {
	progress *mpb.Progress
	screen   *cupwriter.Writer
	width    int
}

// bar is one of them.
type bar struct {
	bar *mpb.Bar
}

func newBars(w io.Writer, width int) *bars {
	screen := cupwriter.New(w, false)
	return &bars{
		screen:   screen,
		progress: mpb.New(mpb.WithConsoleWriter(screen), mpb.WithWidth(width), mpb.WithRefreshRate(120*time.Millisecond), mpb.ForceAutoRefresh()),
		width:    width,
	}
}

func (b *bars) print(text string) { io.WriteString(b.progress, text) }

// close takes them off the screen.
func (b *bars) close() {
	b.progress.Shutdown()
	b.screen.Flush(0) // lines that were printed after the bars were drawn for the last time
}

func (b *bars) add(name string) *bar {
	began := time.Now()
	fill := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		_, err := io.WriteString(w, barLine(name, s.Current, s.Total, time.Since(began), b.width))
		return err
	})
	added, err := b.progress.Add(0, fill, mpb.BarFillerTrim(), mpb.BarRemoveOnComplete())
	if err != nil {
		return nil // the screen is closed: an error or an interrupt ended the work
	}
	return &bar{added}
}

func (b *bar) set(done, total int64) {
	b.bar.SetTotal(total, false)
	b.bar.SetCurrent(done)
}

// remove takes it off the screen.
func (b *bar) remove() {
	b.bar.Abort(true)
}

// barLine is a step in one line of the terminal: "name  [####    ]  1.2 MB of 3.4 MB  0.5 s".
func barLine(name string, done, total int64, elapsed time.Duration, width int) string {
	tail := fmt.Sprintf("  %.1f s", elapsed.Seconds())
	if total > 0 {
		const cells = 20
		full := int(min(done, total) * cells / total)
		tail = fmt.Sprintf("  [%s%s]  %s of %s%s", strings.Repeat("#", full), strings.Repeat(" ", cells-full),
			Size(done), Size(total), tail)
	} else if done > 0 {
		tail = "  " + Size(done) + tail
	}
	room := max(8, width-1-len(tail))
	if runes := []rune(name); len(runes) > room {
		name = string(runes[:room-1]) + "…"
	}
	return name + tail
}

// Size is a number of bytes for people: "3.4 MB", in powers of 1000.
func Size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n), ""
	for _, p := range []string{"k", "M", "G", "T", "P"} {
		if value < unit {
			break
		}
		value, prefix = value/unit, p
	}
	return fmt.Sprintf("%.1f %sB", value, prefix)
}
