package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	list := []figures{{wall: 3, size: 9}, {wall: 1, size: 9}, {wall: 2, size: 8}, {wall: 9, size: 9}}
	if got := medianOf(list); got.wall != 2 || got.size != 9 {
		t.Errorf("got %+v", got)
	}
}

func TestRun(t *testing.T) {
	d := folder(t.TempDir())
	f, err := task{output: d.file("a"), steps: []step{
		{"sh", "-c", "test ! -e " + d.file("a")},
		{"sh", "-c", "sleep 0.05; printf 12345 >" + d.file("a")},
	}}.run()
	if err != nil {
		t.Fatal(err)
	}
	if f.size != 5 || f.wall < 50*time.Millisecond || f.peak == 0 {
		t.Errorf("got %+v", f)
	}
	if _, err := (task{steps: []step{{"sh", "-c", "echo no; exit 3"}}}).run(); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("got %v", err)
	}
}

func TestGoals(t *testing.T) {
	got := map[string]figures{
		named(fledgeCold, zstd15): {wall: 20, size: 1000}, named(mksquashfs, zstd15): {wall: 10, size: 1000},
		named(fledgeApp, zstd15): {wall: 1}, named(copyHash, zstd15): {wall: 1}, named(fledgeLink, zstd15): {wall: 1, peak: 31 << 20},
	}
	var b strings.Builder
	writeGoals(&b, goals(got))
	for _, line := range []string{
		"| a | cold size / mksquashfs, zstd 15, 128K blocks | 1× | 1.001× | yes |",
		"| a | cold time / mksquashfs, zstd 15, 128K blocks | 2× | 1× | **no** |",
		"| f | peak memory of link, zstd 15, 128K blocks | 31 MB | 32 MB | yes |",
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, &b)
		}
	}
}

func TestPeersOptions(t *testing.T) {
	for s, want := range map[setting]string{
		zstd15:                 "-comp zstd -Xcompression-level 15",
		{"none", 0, 128 << 10}: "-noD",
		{"lz4", 0, 64 << 10}:   "-comp lz4 -Xhc",
		{"xz", 0, 1 << 20}:     "-comp xz",
	} {
		if got := strings.Join(s.mksquashfs(), " "); !strings.Contains(got, want) {
			t.Errorf("%s: %s", s, got)
		}
	}
}
