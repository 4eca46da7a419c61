package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// target is a fuzz target.
type target struct {
	module string // folder of the Go module
	dir    string // of the package, absolute
	path   string // of the package as imported
	name   string // FuzzX
}

func (t target) String() string { return t.path + "." + t.name }

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// find lists the fuzz targets of modules, those of a package in the order of its files.
func find(ctx context.Context, modules ...string) ([]target, error) {
	var all []target
	for _, module := range modules {
		cmd := exec.CommandContext(ctx, "go", "list", "-f",
			`{{.Dir}}{{"\t"}}{{.ImportPath}}{{range .TestGoFiles}}{{"\t"}}{{.}}{{end}}{{range .XTestGoFiles}}{{"\t"}}{{.}}{{end}}`, "./...")
		cmd.Dir, cmd.Stderr = module, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", module, err)
		}
		for line := range strings.Lines(string(out)) {
			fields := strings.Split(strings.TrimSpace(line), "\t")
			for _, file := range fields[2:] {
				source, err := os.ReadFile(filepath.Join(fields[0], file))
				if err != nil {
					return nil, err
				}
				for _, m := range declaration.FindAllSubmatch(source, -1) {
					all = append(all, target{module, fields[0], fields[1], string(m[1])})
				}
			}
		}
	}
	return all, nil
}

// result is what came of a target.
type result struct {
	target
	time                    time.Duration // that it ran
	executions, interesting int
	kept                    string
	err                     error
}

var progress = regexp.MustCompile(`^fuzz: elapsed: (\S+), execs: (\d+) .*new interesting: (\d+)`)

// failureLines is how much of the output of a target that fails is told.
const failureLines = 60

// fuzz runs a target for a time.
func fuzz(ctx context.Context, t target, duration time.Duration, o *output) result {
	r := result{target: t}
	// Minimizing an input takes up to a minute by default, and some targets would do little else; and tests have
	// a limit of their own.
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+duration.String(),
		"-fuzzminimizetime=100x", "-parallel=1", "-timeout="+(2*duration+10*time.Minute).String(), t.path)
	cmd.Dir = t.module
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return result{target: t, err: err}
	}
	cmd.Stderr = cmd.Stdout
	if r.err = cmd.Start(); r.err != nil {
		return r
	}
	o.printf("%s: begins\n", t)
	var tail []string
	told := time.Now()
	for lines := bufio.NewReader(pipe); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		line = strings.TrimSuffix(line, "\n")
		if r.read(line) {
			if time.Since(told) > time.Minute {
				told = time.Now()
				o.printf("%s: %s\n", t, strings.TrimPrefix(line, "fuzz: "))
			}
			continue
		}
		if tail = append(tail, line); len(tail) > failureLines {
			tail = tail[1:]
		}
	}
	if r.err = cmd.Wait(); r.err != nil && spurious(tail) {
		r.err = nil
	}
	if r.err != nil {
		o.printf("%s: FAILED\n%s\n", t, strings.Join(tail, "\n"))
	} else {
		o.printf("%s: ok, %d executions\n", t, r.executions)
	}
	return r
}

// spurious knows a race in package fuzz up to Go 1.26: what ends a target in time is taken for a failure
// (https://go.dev/issue/75804). There is no input then, nor any other message.
func spurious(output []string) bool {
	text := strings.Join(output, "\n")
	return deadline.MatchString(text) && !strings.Contains(text, "Failing input") && strings.Count(text, "--- FAIL") == 1
}

var deadline = regexp.MustCompile(`(?m)^--- FAIL: \w+ \(\S+\)\n    context deadline exceeded\nFAIL$`)

// read takes a line of go test's output, and says whether it was one about progress.
func (r *result) read(line string) bool {
	m := progress.FindStringSubmatch(line)
	if m == nil {
		return strings.HasPrefix(line, "fuzz: elapsed:")
	}
	r.time, _ = time.ParseDuration(m[1])
	r.executions, _ = strconv.Atoi(m[2])
	r.interesting, _ = strconv.Atoi(m[3])
	return true
}

// cached is the folder in which go keeps the interesting inputs of a target.
func (t target) cached(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	return filepath.Join(string(bytes.TrimSpace(out)), "fuzz", filepath.FromSlash(t.path), t.name), err
}
