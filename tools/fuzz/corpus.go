package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what -keep adds to the corpus of a target.
const (
	maxFiles = 50
	maxBytes = 200 << 10
	maxFile  = 32 << 10
)

// counted are the packages whose statements count: Fledge's own, and those that decode for it.
const counted = "./...,github.com/...,archive/tar,encoding/json,debug/elf"

// input is a file of a corpus with what it covers.
type input struct {
	name   string
	size   int64
	blocks []string // of statements, as a coverage profile names them
}

// keepCorpus adds inputs from go's cache to the committed corpus of a target, testdata/fuzz of its package: of those that
// cover statements that neither the seeds nor the committed corpus cover, as few as it takes. It says what it did.
func keepCorpus(ctx context.Context, t target) (string, error) {
	cache, err := t.cached(ctx)
	if err != nil {
		return "", err
	}
	corpus := filepath.Join(t.dir, "testdata", "fuzz", t.name)
	work, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	m := &measure{t, filepath.Join(work, "test"), filepath.Join(work, "profile")}
	if err := m.build(ctx); err != nil {
		return "", err
	}
	covered, err := m.blocks(ctx, "")
	if err != nil {
		return "", err
	}
	have, err := entries(corpus)
	if err != nil {
		return "", err
	}
	candidates, err := m.candidates(ctx, cache, corpus)
	if err != nil {
		return "", err
	}
	before := len(covered)
	room, bytes := maxFiles-len(have), int64(maxBytes)
	for _, e := range have {
		bytes -= e.size
	}
	chosen := cover(candidates, covered, room, bytes)
	for _, in := range chosen {
		if err := copyInput(filepath.Join(cache, in.name), corpus, in.name); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d of %d inputs added to %d; %d blocks of statements covered, %d before",
		len(chosen), len(candidates), len(have), len(covered), before), nil
}

// entries lists a corpus, which may not be there.
func entries(dir string) ([]input, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []input
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, input{name: e.Name(), size: info.Size()})
	}
	return out, err
}

// cover chooses inputs one after another, the one first that covers the most blocks that are not covered yet, and the
// smaller one of equals, while there is room. What they cover is added to covered.
func cover(inputs []input, covered map[string]bool, files int, bytes int64) []input {
	var chosen []input
	for len(chosen) < files {
		best, most := -1, 0
		for i, in := range inputs {
			n := 0
			for _, b := range in.blocks {
				if !covered[b] {
					n++
				}
			}
			if in.size <= bytes && (n > most || n == most && n > 0 && in.size < inputs[best].size) {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		for _, b := range inputs[best].blocks {
			covered[b] = true
		}
		bytes -= inputs[best].size
		chosen = append(chosen, inputs[best])
	}
	return chosen
}

func copyInput(from, dir, name string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), data, 0o644)
}

// measure finds what inputs cover.
type measure struct {
	target
	program string // the package's tests, which count statements
	profile string
}

func (m *measure) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-cover", "-coverpkg="+counted, "-o", m.program, m.path)
	cmd.Dir = m.module
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// blocks runs the target with one file of its corpus, or with all of it and the seeds for "".
func (m *measure) blocks(ctx context.Context, file string) (map[string]bool, error) {
	run := "^" + m.name + "$"
	if file != "" {
		run += "/^" + file + "$"
	}
	cmd := exec.CommandContext(ctx, m.program, "-test.run="+run, "-test.coverprofile="+m.profile)
	cmd.Dir = m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", run, err, out)
	}
	data, err := os.ReadFile(m.profile)
	if err != nil {
		return nil, err
	}
	covered := map[string]bool{}
	for line := range strings.Lines(string(data)) { // FILE:FROM,TO STATEMENTS COUNT
		block, ok := strings.CutSuffix(line, " 1\n")
		if ok {
			covered[block] = true
		}
	}
	return covered, nil
}

// candidates are the inputs in the cache with what they cover. Each is in the corpus while it runs.
func (m *measure) candidates(ctx context.Context, cache, corpus string) ([]input, error) {
	list, err := entries(cache)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(in input) bool {
		_, err := os.Stat(filepath.Join(corpus, in.name))
		return err == nil || in.size > maxFile
	})
	for i, in := range list {
		if err := copyInput(filepath.Join(cache, in.name), corpus, in.name); err != nil {
			return nil, err
		}
		covered, err := m.blocks(ctx, in.name)
		if err := errors.Join(err, os.Remove(filepath.Join(corpus, in.name))); err != nil {
			return nil, err
		}
		for b := range covered {
			list[i].blocks = append(list[i].blocks, b)
		}
	}
	return list, nil
}
