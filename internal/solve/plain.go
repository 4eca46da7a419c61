package solve

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Plain prints events to w, a line each: "#2 [1/2] RUN make", "#2 | what it wrote", "#2 done in 0.3 s". What a step wrote
// loses its control characters, which could do anything to a terminal.
func Plain(w io.Writer) func(wire.Event) {
	return func(e wire.Event) {
		switch e.Kind {
		case wire.EventStart:
			fmt.Fprintf(w, "#%d %s\n", e.Step, printable(e.Text))
		case wire.EventLog:
			fmt.Fprintf(w, "#%d | %s\n", e.Step, printable(e.Text))
		case wire.EventDone:
			switch {
			case e.Error != "":
				fmt.Fprintf(w, "#%d failed: %s\n", e.Step, printable(e.Error))
			case e.Cached:
				fmt.Fprintf(w, "#%d cached\n", e.Step)
			default:
				fmt.Fprintf(w, "#%d done in %.1f s\n", e.Step, e.Seconds)
			}
		case wire.EventWarn:
			warning(w, e)
		case wire.EventBoot:
			fmt.Fprintf(w, "machine: %s after %.1f s\n", printable(e.Text), e.Seconds)
		}
	}
}

// maxWarnings bounds what a guest that was taken over may print and have kept.
const maxWarnings = 100

// Warnings prints the warnings among the events to w, a line each, the same one once, and nothing else.
func Warnings(w io.Writer) func(wire.Event) {
	said := map[string]bool{}
	return func(e wire.Event) {
		if e.Kind != wire.EventWarn || said[e.Text] || len(said) == maxWarnings {
			return
		}
		said[e.Text] = true
		warning(w, e)
		if len(said) == maxWarnings {
			fmt.Fprintf(w, "warning: there may be more, %d are shown\n", maxWarnings)
		}
	}
}

func warning(w io.Writer, e wire.Event) { fmt.Fprintf(w, "warning: %s\n", printable(e.Text)) }

// PrintableLines is a text of several lines as Plain would show it: an error, too, has what a step wrote.
func PrintableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n")
}

// printable is s without control characters but tabs.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return -1
		}
		return r
	}, s)
}
