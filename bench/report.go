package main

import (
	"fmt"
	"io"
	"time"
)

// writeTable lists the figures of tasks, each with its time as a ratio to that of peer, if it is given.
func writeTable(w io.Writer, title string, tasks []task, got map[string]figures, peer string) {
	fmt.Fprintf(w, "### %s\n\n| what | s | CPU s | peak MB | output MB | time ratio | size ratio |\n|---|---|---|---|---|---|---|\n", title)
	for _, t := range tasks {
		f := got[t.name]
		timeRatio, sizeRatio := "", ""
		if p, ok := got[peer]; ok {
			timeRatio = fmt.Sprintf("%.3f", ratio(f.wall, p.wall))
			sizeRatio = fmt.Sprintf("%.4f", ratio(f.size, p.size))
		}
		fmt.Fprintf(w, "| %s | %.2f | %.2f | %d | %.2f | %s | %s |\n",
			t.name, f.wall.Seconds(), f.cpu.Seconds(), f.peak>>20, float64(f.size)/1e6, timeRatio, sizeRatio)
	}
	fmt.Fprintln(w)
}

func ratio[T ~int64](a, b T) float64 { return float64(a) / float64(b) }

// goal is one figure that has a limit.
type goal struct {
	row   string
	what  string
	value float64
	limit float64
	unit  string
}

// goals are the goals that the figures let judge.
func goals(got map[string]figures, settings []setting, withToday bool) []goal {
	var list []goal
	add := func(row, what string, value, limit float64, unit string) {
		list = append(list, goal{row, what, value, limit, unit})
	}
	rows := map[setting]string{zstd15: "a", zstd3: "b"}
	todayLimit := map[setting]float64{zstd15: 0.65, zstd3: 0.2}
	for _, s := range settings {
		row, known := rows[s]
		if !known {
			continue
		}
		cold, peer := got[named(fledgeCold, s)], got[named(mksquashfs, s)]
		add(row, "cold size / mksquashfs, "+s.String(), ratio(cold.size, peer.size), 1.001, "×")
		add(row, "cold time / mksquashfs, "+s.String(), ratio(cold.wall, peer.wall), 1, "×")
		if withToday {
			add(row, "cold time / skopeo + umoci + mksquashfs, "+s.String(),
				ratio(cold.wall, got[named(pipeline, s)].wall), todayLimit[s], "×")
		}
		app, link := got[named(fledgeApp, s)], got[named(fledgeLink, s)]
		add("c", "app layer changed / full mksquashfs, "+s.String(), ratio(app.wall, peer.wall), 0.04, "×")
		add("c", "link / (cp + sha256sum), "+s.String(), ratio(link.wall, got[named(copyHash, s)].wall), 1.2, "×")
		if fresh, ok := got[named(fledgeFresh, s)]; ok {
			add("e", "linked size / freshly packed size, "+s.String(), ratio(cold.size, fresh.size), 1.001, "×")
		}
		add("f", "peak memory of pack, "+s.String(), megabytes(cold.peak), 64, " MB")
		add("f", "peak memory of link, "+s.String(), megabytes(link.peak), 32, " MB")
	}
	return append(list, growthGoals(got)...)
}

func growthGoals(got map[string]figures) []goal {
	small, ok := got[smallBase+", app layer changed"]
	if !ok {
		return nil
	}
	large, copied := got[largeBase+", app layer changed"], got[smallBase+", "+copyHash]
	return []goal{
		{"i", "what a base of ten times the size adds to an app change / copying a small one", ratio(large.wall-small.wall, copied.wall), 10, "×"},
		{"i", "link of 1,000,000 files", got[millionLink].wall.Seconds(), 10, " s"},
		{"f", "peak memory of an app change, base ten times as large / small base", ratio(large.peak, small.peak), 1.1, "×"},
		{"f", "peak memory of a link of 1,000,000 files", megabytes(got[millionLink].peak), 300, " MB"},
	}
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

func writeGoals(w io.Writer, list []goal) {
	fmt.Fprint(w, "### Goals\n\n| goal | figure | got | limit | met |\n|---|---|---|---|---|\n")
	for _, g := range list {
		met := "yes"
		if g.value > g.limit {
			met = "**no**"
		}
		fmt.Fprintf(w, "| %s | %s | %.4g%s | %.4g%s | %s |\n", g.row, g.what, g.value, g.unit, g.limit, g.unit, met)
	}
	fmt.Fprintln(w)
}

// writeHead says what was run, on what.
func writeHead(w io.Writer, o options, versions []string, rounds int) {
	fmt.Fprintf(w, "%s, %d rounds, medians. %d cores.\n\n", time.Now().UTC().Format("2006-01-02"), rounds, o.cores)
	for _, v := range versions {
		fmt.Fprintf(w, "- %s\n", v)
	}
	fmt.Fprintln(w)
}
