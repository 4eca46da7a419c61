package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/fledge-build/fledge/bench/plot"
)

// report is what the tables, drawings and goals of a run are made of.
type report struct {
	Run      runInfo   `json:"run"`
	Tables   []table   `json:"tables"`
	Goals    []goal    `json:"goals"`
	Profiles []profile `json:"profiles,omitempty"`
}

// table compares tasks.
type table struct {
	Title string `json:"title"`
	Slug  string `json:"slug,omitempty"` // of its drawing
	Peer  string `json:"peer,omitempty"` // the row that ratios are to
	Rows  []row  `json:"rows"`
}

// row is the figures of a task.
type row struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds,omitempty"`
	Peak    int64   `json:"peak_bytes,omitempty"`
	Size    int64   `json:"output_bytes,omitempty"`
}

// goal is one figure that has a limit.
type goal struct {
	Row   string  `json:"goal"` // a letter, or a file system's name
	What  string  `json:"figure"`
	Value float64 `json:"got"`
	Limit float64 `json:"limit"`
	Unit  string  `json:"unit"`
	Task  string  `json:"task,omitempty"` // Fledge's, whose profile shows why it is not met
}

func (g goal) met() bool { return g.Value <= g.Limit }

func newReport(run runInfo, groups []group, got map[string]figures) report {
	r := report{Run: run, Goals: goals(got)}
	for _, g := range groups {
		short := func(name string) string { return strings.TrimSuffix(name, ", "+g.of) }
		t := table{Title: g.title, Slug: g.slug, Peer: short(g.peer)}
		for _, task := range g.tasks {
			f := got[task.name]
			t.Rows = append(t.Rows, row{short(task.name), f.wall.Seconds(), f.cpu.Seconds(), f.peak, f.size})
		}
		r.Tables = append(r.Tables, t)
	}
	return r
}

// section is the part of docs/performance.md that --all writes.
func (r report) section() section {
	s := section{name: "all", drawings: map[string][]byte{}}
	var b strings.Builder
	b.WriteString(r.Run.markdown())
	writeGoals(&b, r.Goals)
	for _, t := range r.Tables {
		t.write(&b)
		if t.Slug != "" {
			s.drawings[t.Slug+".svg"] = t.draw()
			fmt.Fprintf(&b, "![](%s/%s.svg)\n\n", results, t.Slug)
		}
	}
	writeProfiles(&b, r.Profiles)
	s.markdown = b.String()
	return s
}

func (t table) peer() (row, bool) {
	for _, r := range t.Rows {
		if r.Name == t.Peer {
			return r, true
		}
	}
	return row{}, false
}

// write lists the rows, each with its time and size as ratios to those of the peer, if there is one.
func (t table) write(w io.Writer) {
	fmt.Fprintf(w, "### %s\n\n| | s | CPU s | peak MB | output MB | time | size |\n|---|---|---|---|---|---|---|\n", t.Title)
	peer, compared := t.peer()
	cell := func(format string, value float64) string {
		if value == 0 {
			return ""
		}
		return fmt.Sprintf(format, value)
	}
	for _, r := range t.Rows {
		timeRatio, sizeRatio := "", ""
		if compared {
			timeRatio = fmt.Sprintf("%.3f", r.Seconds/peer.Seconds)
			if peer.Size > 0 {
				sizeRatio = cell("%.4f", float64(r.Size)/float64(peer.Size))
			}
		}
		seconds := "%.2f"
		if r.Seconds < 0.1 {
			seconds = "%.5f"
		}
		fmt.Fprintf(w, "| %s | "+seconds+" | %s | %s | %s | %s | %s |\n", r.Name, r.Seconds, cell("%.2f", r.CPU), cell("%.0f", megabytes(r.Peak)),
			cell("%.2f", float64(r.Size)/1e6), timeRatio, sizeRatio)
	}
	fmt.Fprintln(w)
}

// draw is bars of the times.
func (t table) draw() []byte {
	var bars []plot.Bar
	for _, r := range t.Rows {
		label := fmt.Sprintf("%.2f s", r.Seconds)
		if r.Size > 0 {
			label += fmt.Sprintf(", %.1f MB", float64(r.Size)/1e6)
		}
		bars = append(bars, plot.Bar{Name: r.Name, Value: r.Seconds, Label: label, Own: strings.HasPrefix(r.Name, "fledge")})
	}
	return plot.Bars(t.Title+": seconds", bars)
}

func writeGoals(w io.Writer, list []goal) {
	fmt.Fprint(w, "### Goals\n\n| goal | figure | got | limit | met |\n|---|---|---|---|---|\n")
	for _, g := range list {
		met := "yes"
		if !g.met() {
			met = "**no**"
		}
		fmt.Fprintf(w, "| %s | %s | %.4g%s | %.4g%s | %s |\n", g.Row, g.What, g.Value, g.Unit, g.Limit, g.Unit, met)
	}
	fmt.Fprintln(w)
}

func ratio[T ~int64](a, b T) float64 { return float64(a) / float64(b) }

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

func gigabytes(n int64) float64 { return float64(n) / 1e9 }

// lastLine is the last line of a program's output.
func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}
