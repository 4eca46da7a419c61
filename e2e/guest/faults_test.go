package guest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/solve/solvetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// TestFaults makes machines fail, each in its own way, and reads what they say of it.
func TestFaults(t *testing.T) {
	k := newKit(t)
	base := solvetest.Busybox(t)
	for _, c := range []struct {
		name, dockerfile string
		edit             func(*wire.Job)
		solve            solve
		kind             string
		want             []string
	}{
		{name: "run", dockerfile: "FROM base:1\nRUN echo said; exit 7\n", kind: wire.FailRun,
			want: []string{"Dockerfile:2: process ", "exit code: 7", ">   2 | RUN echo said",
				"[1/2] RUN echo said; exit 7 wrote last:\n    said"}},
		{name: "out of memory", dockerfile: "FROM base:1\nRUN tail /dev/zero\n", solve: solve{memory: 448},
			kind: wire.FailOOM, want: []string{"Dockerfile:2:", "cannot allocate memory",
				"the build machine ran out of memory", "give the solve more memory"}},
		{name: "scratch full", dockerfile: "FROM base:1\nRUN dd if=/dev/zero of=/big bs=1M\n", solve: solve{memory: 448},
			kind: wire.FailScratch, want: []string{"Dockerfile:2:", "the scratch space of the build machine",
				"No space left on device"}},
		{name: "scratch full in a copy", dockerfile: "FROM base:1\nRUN dd if=/dev/zero of=/big bs=1M count=200\n" +
			"FROM base:1\nCOPY --from=0 /big /big2\n", solve: solve{memory: 448},
			kind: wire.FailScratch, want: []string{"Dockerfile:4:", "the scratch space of the build machine"}},
		{name: "no secrets disk", dockerfile: "FROM base:1\n", edit: func(j *wire.Job) { j.Secrets = []string{"x"} },
			kind: wire.FailInternal, want: []string{"no secrets disk", "the host gave it none"}},
		{name: "no network", dockerfile: "FROM base:1\n", edit: func(j *wire.Job) { j.Network = true },
			kind: wire.FailInternal, want: []string{"kernel parameter fledge.ip= is missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.solve
			s.input = solvetest.Disk(t, base, solvetest.Case{Dockerfile: c.dockerfile, Edit: c.edit})
			k.expect(t, s, c.kind, c.want...)
		})
	}
}

func (k kit) expect(t *testing.T, s solve, kind string, want ...string) {
	t.Helper()
	o := k.boot(t, s)
	f := o.result.Failure
	if f == nil {
		t.Fatalf("no failure\n%s", o.log())
	}
	if f.Kind != kind {
		t.Errorf("kind %s, want %s", f.Kind, kind)
	}
	for _, w := range want {
		if !strings.Contains(f.String(), w) {
			t.Errorf("%q is not in the message", w)
		}
	}
	t.Logf("%v\n%s", o.took, f)
}

// TestPanic gives a machine a solver that panics, and one that exits without a word.
func TestPanic(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"panic": {"go panic(\"the solver fell over\"); select {}", "panic: the solver fell over"},
		"exit":  {"os.Exit(3)", "the solver in the build machine died: exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			source := "package main\n\nimport \"os\"\n\nfunc init() { if os.Args[0] == \"guest\" { " + c.code + " } }\n"
			k := newKit(t, "-overlay", overlay(t, "tools/guest/fault.go", source))
			k.expect(t, solve{input: solvetest.Disk(t, solvetest.Busybox(t), solvetest.Case{Dockerfile: "FROM base:1\n"})},
				wire.FailInternal, c.want)
		})
	}
}

// overlay makes an overlay for go build with one more file in the repository.
func overlay(t *testing.T, name, source string) string {
	dir := t.TempDir()
	file, list := filepath.Join(dir, "file.go"), filepath.Join(dir, "overlay.json")
	replace := map[string]string{filepath.Join(toolrun.Repository(), name): file}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	for f, data := range map[string][]byte{file: []byte(source), list: text} {
		if err := os.WriteFile(f, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
