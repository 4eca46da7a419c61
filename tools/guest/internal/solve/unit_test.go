package solve

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/inputs"
)

func TestFind(t *testing.T) {
	for _, c := range []struct {
		line, hint string
		at, width  int
	}{
		{"RUNN true", "unknown instruction: RUNN (did you mean RUN?)", 1, 4},
		{"COPY --form=a b c", "unknown flag: --form", 6, 6},
		{"COPY missing.txt /x", `"/missing.txt": not found`, 6, 11},
		{"COPY a/b /x", "not found", 0, 0},
		{"FROM alpine:3.22", "alpine:3.22", 6, 11},
		{"FROM xalpine alpine", "alpine", 14, 6},
		{"", "word", 0, 0},
		{"EXPOSE $", "$ :", 0, 0},
	} {
		if at, width := find(c.line, c.hint); at != c.at || width != c.width {
			t.Errorf("%q in %q: at %d, %d wide; want %d, %d", c.hint, c.line, at, width, c.at, c.width)
		}
	}
}

func TestMessage(t *testing.T) {
	for text, want := range map[string]string{
		"failed to solve: rpc error: code = Unknown desc = failed to compute cache key: it is so": "it is so",
		"failed to solve: dockerfile parse error on line 2: unknown flag: --x":                    "unknown flag: --x",
		"plain": "plain", "failed to solve: ": "failed to solve: ",
	} {
		if got := message(errors.New(text)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestPosition(t *testing.T) {
	text := "1\n2\r\n3\n4\n5\n6\n7\n"
	p := position("D", text, 4, 5, "")
	var lines []string
	for _, l := range p.Excerpt {
		mark := " "
		if l.Marked {
			mark = ">"
		}
		lines = append(lines, mark+l.Text)
	}
	if got := strings.Join(lines, ""); got != " 2 3>4>5 6 7" || p.Line != 4 {
		t.Errorf("got %q, line %d", got, p.Line)
	}
	for _, lies := range [][2]int{{0, 0}, {-1, 99}, {99, 100}, {5, 2}} {
		if p := position("D", text, lies[0], lies[1], "x"); p.Line < 1 || p.Line > 7 || len(p.Excerpt) == 0 {
			t.Errorf("%v: %+v", lies, p)
		}
	}
	if p := position("D", "", 1, 1, ""); p.Line != 1 {
		t.Errorf("an empty file: %+v", p)
	}
}

// FuzzPosition feeds what a Dockerfile and BuildKit's errors may hold.
func FuzzPosition(f *testing.F) {
	f.Add("FROM a\nRUN b\n", 1, 2, `"b": not found`)
	f.Fuzz(func(t *testing.T, text string, first, last int, hint string) {
		_ = wire.Failure{Position: position("D", text, first, last, hint)}.String()
		message(errors.New(hint))
	})
}

func TestCheck(t *testing.T) {
	job := wire.Job{
		Dockerfile: "Dockerfile",
		Images:     []wire.Image{{Ref: "docker.io/library/alpine:latest"}},
	}
	for _, c := range []struct{ text, want string }{
		{"FROM alpine AS build\n", ""},
		{"# syntax=docker/dockerfile:1.7-labs\nFROM alpine\n", ""},
		{"# syntax=docker.io/docker/dockerfile-upstream:master\nFROM alpine\n", ""},
		{"# syntax=docker/dockerfile:1@sha256:" + strings.Repeat("a", 64) + "\nFROM alpine\n", ""},
		{"# syntax=example.com/docker/dockerfile:1\nFROM alpine\n", "syntax example.com/docker/dockerfile:1"},
		{"#!/bin/x\n# syntax=other\nFROM alpine\n", "syntax other"},
		{"// syntax=other\n", "syntax other"},
		{"FROM scratch AS alpine\n", "stage alpine has the name of base image docker.io/library/alpine:latest"},
		{"FROM scratch AS Alpine\n", "stage alpine has the name of base image"},
		{"NONSENSE\n", ""}, // BuildKit's affair
	} {
		got := ""
		if f := check(job, []byte(c.text)); f != nil {
			got = f.Message
		}
		if !strings.HasPrefix(got, c.want) && !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	job.BuildArgs = map[string]string{"BUILDKIT_SYNTAX": "other"}
	if f := check(job, []byte("FROM alpine\n")); f == nil || !strings.Contains(f.Message, "syntax other") {
		t.Errorf("BUILDKIT_SYNTAX: %v", f)
	}
}

func TestOptions(t *testing.T) {
	task := Task{Inputs: &inputs.Inputs{Job: wire.Job{
		Dockerfile: "D", Arch: "arm64", Epoch: 5, BuildArgs: map[string]string{"A": "1"}, Target: "t",
		Images: []wire.Image{{Ref: "docker.io/library/alpine", Store: "s", Digest: "sha256:d"},
			{Ref: "ghcr.io/a/b:2", Store: "s", Digest: "sha256:e"}},
	}}}
	o, err := task.options()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"filename": "D", "target": "t", "platform": "linux/arm64", "cmdline": "fledge", "build-arg:SOURCE_DATE_EPOCH": "5",
		"build-arg:A": "1", "force-network-mode": "none", "context:alpine": "oci-layout://s@sha256:d",
		"context:ghcr.io/a/b:2": "oci-layout://s@sha256:e",
	}
	if diff := cmp.Diff(want, o.FrontendAttrs); diff != "" {
		t.Error(diff)
	}
	if len(o.AllowedEntitlements) > 0 || len(o.SourcePolicy.Rules) != 6 {
		t.Errorf("rights %v, policy %v", o.AllowedEntitlements, o.SourcePolicy)
	}
	task.Inputs.Job.Images = append(task.Inputs.Job.Images, wire.Image{Ref: "alpine:latest", Store: "t", Digest: "sha256:d"})
	if _, err := task.options(); err != nil {
		t.Errorf("an image with two names: %v", err)
	}
	task.Inputs.Job.Images[2].Digest = "sha256:f"
	if _, err := task.options(); err == nil || !strings.Contains(err.Error(), "docker.io/library/alpine and alpine:latest are both alpine") {
		t.Errorf("two images with one name: %v", err)
	}
	task.Inputs.Job.Images = nil
	task.Inputs.Job.SSH = []string{"default"}
	task.Secrets.SSH = map[string][]byte{"default": []byte("jkxqz")}
	if _, err := task.options(); err == nil || strings.Contains(err.Error(), "jkxqz") ||
		!strings.Contains(err.Error(), "ssh key default") {
		t.Errorf("a bad key: %v", err)
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(func(e wire.Event) { b.Write(e.Encode()) })
	start := time.Unix(1, 0)
	end := start.Add(1500 * time.Millisecond)
	ch := make(chan *client.SolveStatus, 9)
	ch <- &client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "a", Name: "one"}}}
	ch <- &client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "b", Name: "two", Started: &start}}}
	ch <- &client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "a", Name: "one", Started: &start}},
		Logs: []*client.VertexLog{{Vertex: "a", Stream: 1, Data: []byte("li")},
			{Vertex: "a", Stream: 2, Data: []byte("err\xff\r\n")}}}
	ch <- &client.SolveStatus{Logs: []*client.VertexLog{{Vertex: "a", Stream: 1, Data: []byte("ne\nrest")}},
		Statuses: []*client.VertexStatus{{ID: "x", Vertex: "a", Current: 1, Total: 100},
			{ID: "x", Vertex: "a", Current: 2, Total: 100},
			{ID: "x", Vertex: "a", Current: 50, Total: 100}, {ID: "y", Vertex: "nobody"}}}
	ch <- &client.SolveStatus{Vertexes: []*client.Vertex{
		{Digest: "a", Name: "one", Started: &start, Completed: &end, Error: "no"}, {Digest: "b", Name: "two", Started: &start, Completed: &end, Cached: true}},
		Warnings: []*client.VertexWarning{{Short: []byte("hm")}}}
	close(ch)
	p.follow(ch)
	want := `{"k":"start","v":1,"t":"two"}
{"k":"start","v":2,"t":"one"}
{"k":"log","v":2,"t":"err` + "\uFFFD" + `","s":2}
{"k":"status","v":2,"t":"x","n":1,"of":100}
{"k":"status","v":2,"t":"x","n":50,"of":100}
{"k":"log","v":2,"t":"line","s":1}
{"k":"warn","t":"hm"}
{"k":"log","v":2,"t":"rest","s":1}
{"k":"done","v":2,"e":"no","sec":1.5}
{"k":"done","v":1,"c":true,"sec":1.5}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if name, output := p.about("a"); name != "one" || strings.Join(output, "|") != "err\uFFFD|line|rest" {
		t.Errorf("%s wrote %q", name, output)
	}
	p.log(&client.VertexLog{Vertex: "c", Data: bytes.Repeat([]byte("x"), 100<<10)})
	if s := p.steps["c"]; len(s.partial[0]) > maxPartial || len(s.tail) > wire.MaxOutputLines {
		t.Errorf("%d bytes of a line are kept", len(s.partial[0]))
	}
}
