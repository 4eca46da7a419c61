package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/monorepo"
)

func TestReplaceSection(t *testing.T) {
	const page = "a\n<!-- bench:x -->\nold\n<!-- end of bench:x -->\nz\n"
	got, err := replaceSection([]byte(page), section{name: "x", markdown: "new\n\n"})
	if want := "a\n<!-- bench:x -->\n\nnew\n\n<!-- end of bench:x -->\nz\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "<!-- bench:x -->\n", "<!-- end of bench:x -->\n<!-- bench:x -->\n"} {
		if _, err := replaceSection([]byte(bad), section{name: "x"}); err == nil || !strings.Contains(err.Error(), "bench:x") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func TestSave(t *testing.T) {
	docs := t.TempDir()
	if err := os.WriteFile(filepath.Join(docs, page), []byte("<!-- bench:all -->\n<!-- end of bench:all -->\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := report{Tables: []table{{Title: "t", Slug: "times", Peer: "peer", Rows: []row{
		{"fledge, cold", 2, 3, 4 << 20, 1e6}, {"peer", 4, 4, 0, 2e6},
	}}}, Goals: []goal{{"a", "time", 0.5, 1, "×", ""}}}
	if err := save(docs, r, r.section()); err != nil {
		t.Fatal(err)
	}
	checkPage(t, docs, "all")
	text, err := os.ReadFile(filepath.Join(docs, page))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| fledge, cold | 2.00 | 3.00 | 4 | 1.00 | 0.500 | 0.5000 |\n", "| peer | 4.00 | 4.00 |  | 2.00 | 1.000 | 1.0000 |\n",
		"| a | time | 0.5× | 1× | yes |\n", "![](performance/times.svg)\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// The page in docs/ shows the figures and drawings of the JSON files beside it and no others.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	for name := range renderers {
		begin, end := section{name: name}.markers()
		_, rest, _ := strings.Cut(string(text), begin)
		now, _, ok := strings.Cut(rest, end)
		switch _, err := os.Stat(filepath.Join("../docs", results, name+".json")); {
		case !ok:
			t.Errorf("%s has no section %s", page, name)
		case err == nil:
			checkPage(t, "../docs", name)
		case strings.Contains(now, "]("+results+"/"):
			t.Errorf("section %s of %s shows drawings, and there is no %s.json", name, page, name)
		}
	}
}

// checkPage compares a section of a page, and its drawings, with what its JSON file gives.
func checkPage(t *testing.T, docs, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(docs, results, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	_, s, err := renderers[name](data)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{page: s.marked()}
	for file, svg := range s.drawings {
		files[filepath.Join(results, file)] = string(svg)
	}
	for file, want := range files {
		got, err := os.ReadFile(filepath.Join(docs, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), want) {
			t.Errorf("%s does not have what %s.json gives: go run ./bench --render", file, name)
		}
	}
}

func TestMonoGoals(t *testing.T) {
	size := monorepo.Size{Images: 6, Bases: 2}
	base := func(mb int64, change string, seconds, copied, hashed float64) monoRow {
		return monoRow{Change: change, Size: monorepo.Size{Images: 2, Bases: 1, BaseBytes: mb * 1e6}, Seconds: seconds, Copy: copied, Hash: hashed}
	}
	r := monoResults{
		Images: []monoRow{
			{Change: changeNone, Size: size},
			{Change: changeApp, Size: size, Actions: map[string]int{"FledgePack": 1, "FledgeLink": 1, "FledgeManifest": 1}},
			{Change: changeBase, Size: size, Actions: map[string]int{"FledgePack": 2, "FledgeLink": 3, "FledgeManifest": 3}},
		},
		Bases: []monoRow{
			base(40, changeNone, 1, 0, 0), base(40, changeApp, 1.5, 0.1, 0.1), base(400, changeNone, 1, 0, 0), base(400, changeApp, 3, 1, 1.1),
		},
	}
	want := []struct {
		value float64
		met   bool
	}{{0, true}, {3, true}, {8, false}, {1.5 / 1.9, true}, {7.5, true}}
	got := r.goals()
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i, w := range want {
		if g := got[i]; g.Value-w.value > 1e-9 || w.value-g.Value > 1e-9 || g.met() != w.met {
			t.Errorf("got %+v, want %+v", g, w)
		}
	}
}
