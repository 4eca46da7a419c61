package main

import (
	"cmp"
	"slices"
)

// goals are the goals that the figures let judge, in order of their letters. Those about the file systems come last.
func goals(got map[string]figures) []goal {
	list := slices.Concat(squashfsGoals(got, zstd15, "a", 0.65), squashfsGoals(got, zstd3, "b", 0.2), ramGoals(got), growthGoals(got), readGoals(got))
	slices.SortStableFunc(list, func(a, b goal) int { return cmp.Compare(a.Row, b.Row) })
	return append(list, fsGoals(got)...)
}

// squashfsGoals are goals about squashfs at one setting: row is that about a cold build, today the limit of its time in
// that of the usual pipeline.
func squashfsGoals(got map[string]figures, s setting, row string, today float64) (list []goal) {
	cold, ok := got[named(fledgeCold, s)]
	if !ok {
		return nil
	}
	add := func(row, task, what string, value, limit float64, unit string) {
		list = append(list, goal{row, what + ", " + s.String(), value, limit, unit, named(task, s)})
	}
	program := newest
	peer, ok := got[named(newest, s)]
	if !ok {
		program, peer = mksquashfs, got[named(mksquashfs, s)]
	}
	add(row, fledgeCold, "cold size / "+program, ratio(cold.size, peer.size), 1.001, "×")
	add(row, fledgeCold, "cold time / "+program, ratio(cold.wall, peer.wall), 1, "×")
	if p, ok := got[named(pipeline, s)]; ok {
		add(row, fledgeCold, "cold time / "+pipeline, ratio(cold.wall, p.wall), today, "×")
	}
	app, link := got[named(fledgeApp, s)], got[named(fledgeLink, s)]
	add("c", fledgeApp, "app layer changed / "+program, ratio(app.wall, peer.wall), 0.04, "×")
	add("c", fledgeLink, "link / ("+copyHash+")", ratio(link.wall, got[named(copyHash, s)].wall), 1.2, "×")
	if fresh, ok := got[named(fledgeFresh, s)]; ok {
		add("e", fledgeCold, "linked size / freshly packed size", ratio(cold.size, fresh.size), 1.001, "×")
	}
	add("f", fledgeCold, "peak memory of pack", megabytes(cold.peak), 64, " MB")
	add("f", fledgeLink, "peak memory of link", megabytes(link.peak), 32, " MB")
	return list
}

// ramGoals are goals about initramfs images.
func ramGoals(got map[string]figures) (list []goal) {
	limits := map[string]struct{ time, size float64 }{"gzip 6": {0.2, 1}, "gzip 4": {0.2, 1}, "zstd 15": {1, 1.02}}
	pigz := got[ramPeer+ramSettings()[0].peers[0]]
	for _, s := range ramSettings() {
		cold, ok := got[ramCold+", "+s.String()]
		if !ok {
			continue
		}
		coldTask, appTask := ramCold+", "+s.String(), ramApp+", "+s.String()
		app := got[appTask]
		list = append(list, goal{"f", "peak memory of pack and link, initramfs " + s.String(), megabytes(max(cold.peak, app.peak)), 128, " MB", coldTask})
		limit, judged := limits[s.String()]
		if !judged {
			continue
		}
		name, peer := s.peers[0], got[ramPeer+s.peers[0]]
		if s.name == "gzip" {
			name, peer = ramSettings()[0].peers[0], pigz // whose size Fledge has at lower levels, too
		}
		list = append(list,
			goal{"g", "cold initramfs, time of " + s.String() + " / " + name, ratio(cold.wall, peer.wall), limit.time, "×", coldTask},
			goal{"g", "cold initramfs, size of " + s.String() + " / " + name, ratio(cold.size, peer.size), limit.size, "×", coldTask},
			goal{"h", "initramfs, app layer changed, " + s.String() + " / " + ramSettings()[0].peers[0], ratio(app.wall, pigz.wall), 0.03, "×", appTask})
	}
	return list
}

func growthGoals(got map[string]figures) []goal {
	small, ok := got[smallBase+", app layer changed"]
	if !ok {
		return nil
	}
	large, copied := got[largeBase+", app layer changed"], got[smallBase+", "+copyHash]
	return []goal{
		{"i", "what a base of ten times the size adds to an app change / copying a small one", ratio(large.wall-small.wall, copied.wall), 10, "×", largeBase + ", app layer changed"},
		{"i", millionLink, got[millionLink].wall.Seconds(), 10, " s", millionLink},
		{"f", "peak memory of an app change, base ten times as large / small base", ratio(large.peak, small.peak), 1.1, "×", ""},
		{"f", "peak memory of a " + millionLink, megabytes(got[millionLink].peak), 300, " MB", ""},
	}
}

func readGoals(got map[string]figures) []goal {
	own, ok := got[readOwn]
	if !ok {
		return nil
	}
	return []goal{{"j", "reading every file of the mounted image / of mksquashfs's", ratio(own.wall, got[readPeer].wall), 1.02, "×", ""}}
}
