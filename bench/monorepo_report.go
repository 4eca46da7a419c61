package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/bench/plot"
)

// section is the part of docs/performance.md about monorepos.
func (r monoResults) section() section {
	s := section{name: "monorepo", drawings: map[string][]byte{
		"monorepo-small.svg": plot.Lines("Builds of all images: nothing or one app changed", "images", "seconds",
			r.linesOf(changeNone, changeApp)),
		"monorepo-large.svg": plot.Lines("Builds of all images: all or one base changed", "images", "seconds",
			r.linesOf(changeAll, changeBase)),
		"monorepo-base.svg": plot.Lines("One app changed: what it adds to a build, and copying the image", "MB of the base", "seconds",
			r.baseLines()),
	}}
	var b strings.Builder
	b.WriteString(r.Run.markdown())
	r.writeLargest(&b)
	r.writeActions(&b)
	r.writeBases(&b)
	writeGoals(&b, r.goals())
	for _, name := range slices.Sorted(maps.Keys(s.drawings)) {
		fmt.Fprintf(&b, "![](%s/%s)\n\n", results, name)
	}
	s.markdown = b.String()
	return s
}

// largest are the rows of the workspace with the most images.
func (r monoResults) largest() (rows []monoRow) {
	most := 0
	for _, row := range r.Images {
		most = max(most, row.Size.Images)
	}
	for _, row := range r.Images {
		if row.Size.Images == most {
			rows = append(rows, row)
		}
	}
	return rows
}

func (r monoResults) writeLargest(b *strings.Builder) {
	rows := r.largest()
	s := rows[0].Size
	fmt.Fprintf(b, "%d images over %d bases of %.0f MB, each with an app of %.1f MB, packed at zstd 3:\n\n", s.Images, s.Bases,
		float64(s.BaseBytes)/1e6, float64(s.AppBytes)/1e6)
	b.WriteString("| changed | s | actions | MB of outputs | MB written | peak MB of the server | of a tool |\n|---|---|---|---|---|---|---|\n")
	for _, row := range rows {
		total := 0
		for _, n := range row.Actions {
			total += n
		}
		fmt.Fprintf(b, "| %s | %.2f | %d | %.1f | %.1f | %.0f | %.0f |\n", row.Change, row.Seconds, total, float64(row.OutputBytes)/1e6,
			float64(row.Written)/1e6, megabytes(row.ServerPeak), megabytes(row.ToolPeak))
	}
	b.WriteByte('\n')
}

func (r monoResults) writeActions(b *strings.Builder) {
	rows, mnemonics := r.largest(), map[string]bool{}
	for _, row := range rows {
		for m := range row.Actions {
			mnemonics[m] = true
		}
	}
	b.WriteString("| actions that ran |")
	for _, row := range rows {
		b.WriteString(" " + row.Change + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(rows)) + "\n")
	for _, m := range slices.Sorted(maps.Keys(mnemonics)) {
		fmt.Fprintf(b, "| %s |", m)
		for _, row := range rows {
			fmt.Fprintf(b, " %d |", row.Actions[m])
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

func (r monoResults) writeBases(b *strings.Builder) {
	fmt.Fprintf(b, "The base growing, %d images, one app changed:\n\n", grownImages)
	b.WriteString("| MB of the base | s | s more than with no change | cp of the image | cp + sha256sum |\n|---|---|---|---|---|\n")
	for _, g := range r.grown() {
		fmt.Fprintf(b, "| %.0f | %.2f | %.2f | %.3f | %.3f |\n", g.megabytes, g.app.Seconds, g.added, g.app.Copy, g.app.Copy+g.app.Hash)
	}
	b.WriteByte('\n')
}

// grownBase is a change of an app over a base of a size.
type grownBase struct {
	megabytes float64
	app       monoRow
	added     float64 // seconds, to a build with no change
}

func (r monoResults) grown() (list []grownBase) {
	nothing := map[int64]float64{}
	for _, row := range r.Bases {
		switch row.Change {
		case changeNone:
			nothing[row.Size.BaseBytes] = row.Seconds
		case changeApp:
			list = append(list, grownBase{float64(row.Size.BaseBytes) / 1e6, row, row.Seconds - nothing[row.Size.BaseBytes]})
		}
	}
	return list
}

// goals judges the figures: goal i, and that a change runs what it must and nothing else.
func (r monoResults) goals() (list []goal) {
	for _, row := range r.largest() {
		total := 0
		for _, n := range row.Actions {
			total += n
		}
		switch row.Change {
		case changeNone:
			list = append(list, goal{"i", "actions when nothing changed", float64(total), 0, "", ""})
		case changeApp:
			list = append(list, goal{"i", "actions when one app changed: pack, link, manifest", float64(total), 3, "", ""})
		case changeBase:
			over := float64((row.Size.Images + row.Size.Bases - 1) / row.Size.Bases)
			list = append(list, goal{"i", "actions when one base changed: its pack, and link and manifest of the images over it", float64(total), 1 + 2*over, "", ""})
		}
	}
	grown := r.grown()
	if len(grown) < 2 {
		return list
	}
	first, last := grown[0], grown[len(grown)-1]
	added := last.added - first.added
	copied, hashed := last.app.Copy-first.app.Copy, last.app.Hash-first.app.Hash
	what := fmt.Sprintf("what a base of %.0f MB adds to an app change, against one of %.0f MB / what it adds to ", last.megabytes, first.megabytes)
	return append(list, goal{"i", what + "cp + sha256sum", added / (copied + hashed), 1, "×", ""},
		goal{"i", "the same, over a copy of the small one's image", added / (first.app.Copy + first.app.Hash), last.megabytes / first.megabytes, "×", ""})
}

// linesOf are seconds against the number of images, a line for each change.
func (r monoResults) linesOf(changes ...string) (lines []plot.Line) {
	for _, change := range changes {
		line := plot.Line{Name: change}
		for _, row := range r.Images {
			if row.Change == change {
				line.Points = append(line.Points, [2]float64{float64(row.Size.Images), row.Seconds})
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (r monoResults) baseLines() []plot.Line {
	lines := []plot.Line{{Name: "one app changed, added"}, {Name: "cp + sha256sum"}, {Name: "cp"}}
	for _, g := range r.grown() {
		for i, seconds := range []float64{g.added, g.app.Copy + g.app.Hash, g.app.Copy} {
			lines[i].Points = append(lines[i].Points, [2]float64{g.megabytes, seconds})
		}
	}
	return lines
}
