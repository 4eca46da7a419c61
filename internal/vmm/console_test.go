package vmm

import (
	"slices"
	"strings"
	"testing"
)

func TestConsoleEnd(t *testing.T) {
	c := &ConsoleEnd{}
	if got := c.LastLines(); got != "\nits console is empty" {
		t.Errorf("%q", got)
	}
	c.Write([]byte("lost\n" + strings.Repeat("x", consoleSize) + "\r\n[ 1.0] Kernel panic - not syncing\r\n"))
	for range 20 {
		c.Write([]byte("more\r\n"))
	}
	if n := len(c.Text()); n > consoleSize || strings.Contains(c.Text(), "lost") || strings.Contains(c.Text(), "\r") {
		t.Errorf("%d bytes are kept", n)
	}
	if got := c.LineWith("Kernel panic"); got != "Kernel panic - not syncing" {
		t.Errorf("%q", got)
	}
	if got := c.LineWith("none"); got != "" {
		t.Errorf("%q", got)
	}
	if got := c.LastLines(); strings.Count(got, "\n    more") != 15 {
		t.Errorf("%q", got)
	}
}

// Whatever the pieces, the lines are the same; one that is too long is dropped and takes no memory.
func TestLineWriter(t *testing.T) {
	const text = "first\r\n\nthis line is too long\nexactly 10\nexactly 10\r\nlast\nno end"
	for piece := 1; piece <= len(text); piece++ {
		var lines []string
		w := &LineWriter{Max: 10, Line: func(line []byte) { lines = append(lines, string(line)) }}
		for rest := text; rest != ""; rest = rest[min(piece, len(rest)):] {
			if n, err := w.Write([]byte(rest[:min(piece, len(rest))])); err != nil || n != min(piece, len(rest)) {
				t.Fatal(n, err)
			}
		}
		if want := []string{"first", "", "exactly 10", "exactly 10", "last"}; !slices.Equal(lines, want) {
			t.Errorf("pieces of %d: %q, want %q", piece, lines, want)
		}
		if cap(w.line) > 100 {
			t.Errorf("pieces of %d: %d bytes of memory", piece, cap(w.line))
		}
	}
}
