package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// group is how many inputs are run together at first.
const group = 32

// input is a file of a corpus.
type input struct {
	name string
	size int64
}

// keeper adds inputs from go's cache to the committed corpus of a target, testdata/fuzz of its package.
type keeper struct {
	target
	cache, corpus    string // folders
	program, profile string // the package's tests, which count statements, and what they write
	covered          map[string]bool
	files            int   // that there is room for
	bytes            int64 // the same
}

// keepCorpus adds the inputs that cover statements which neither the seeds nor the committed corpus nor smaller inputs
// cover. It says what it did.
func keepCorpus(ctx context.Context, t target) (string, error) {
	work, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	k := &keeper{
		target: t, corpus: filepath.Join(t.dir, "testdata", "fuzz", t.name),
		program: filepath.Join(work, "test"), profile: filepath.Join(work, "profile"),
		files: maxFiles, bytes: maxBytes,
	}
	if k.cache, err = t.cached(ctx); err != nil {
		return "", err
	}
	have, err := entries(k.corpus)
	if err != nil {
		return "", err
	}
	names := map[string]bool{}
	for _, in := range have {
		names[in.name] = true
		k.files--
		k.bytes -= in.size
	}
	found, err := entries(k.cache)
	if err != nil {
		return "", err
	}
	found = slices.DeleteFunc(found, func(in input) bool { return names[in.name] || in.size > maxFile })
	slices.SortFunc(found, func(a, b input) int { return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.name, b.name)) })
	if err := k.build(ctx); err != nil {
		return "", err
	}
	if k.covered, err = k.run(ctx, nil); err != nil {
		return "", err
	}
	before, room := len(k.covered), k.files
	for part := range slices.Chunk(found, group) {
		if err := k.add(ctx, part); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d of %d inputs added to %d; %d blocks of statements covered, %d before",
		room-k.files, len(found), len(have), len(k.covered), before), nil
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
		out = append(out, input{e.Name(), info.Size()})
	}
	return out, err
}

// add keeps those of some inputs that cover more, while there is room. Most do not, so they are run together, and the
// halves of them only when there was anything new.
func (k *keeper) add(ctx context.Context, list []input) error {
	if k.files <= 0 || list[0].size > k.bytes { // the smallest
		return nil
	}
	covered, err := k.run(ctx, list)
	if err != nil {
		return err
	}
	maps.DeleteFunc(covered, func(block string, _ bool) bool { return k.covered[block] })
	switch {
	case len(covered) == 0:
		return nil
	case len(list) > 1:
		return errors.Join(k.add(ctx, list[:len(list)/2]), k.add(ctx, list[len(list)/2:]))
	}
	maps.Copy(k.covered, covered)
	k.files--
	k.bytes -= list[0].size
	return k.copy(list[0].name)
}

// copy copies an input to the corpus.
func (k *keeper) copy(name string) error {
	data, err := os.ReadFile(filepath.Join(k.cache, name))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.corpus, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.corpus, name), data, 0o644)
}

func (k *keeper) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-cover", "-coverpkg="+counted, "-o", k.program, k.path)
	cmd.Dir = k.module
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// run gives the blocks of statements that some inputs cover, which are in the corpus meanwhile, or for none the seeds and
// the corpus as it is.
func (k *keeper) run(ctx context.Context, list []input) (covered map[string]bool, err error) {
	run := "^" + k.name + "$"
	var names []string
	for _, in := range list {
		names = append(names, in.name)
		defer func() { err = errors.Join(err, os.Remove(filepath.Join(k.corpus, in.name))) }()
		if err := k.copy(in.name); err != nil {
			return nil, err
		}
	}
	if len(list) > 0 {
		run += "/^(" + strings.Join(names, "|") + ")$"
	}
	cmd := exec.CommandContext(ctx, k.program, "-test.run="+run, "-test.coverprofile="+k.profile)
	cmd.Dir = k.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", run, err, out)
	}
	data, err := os.ReadFile(k.profile)
	if err != nil {
		return nil, err
	}
	covered = map[string]bool{}
	for line := range strings.Lines(string(data)) { // FILE:FROM,TO STATEMENTS COUNT
		if block, ok := strings.CutSuffix(line, " 1\n"); ok {
			covered[block] = true
		}
	}
	return covered, nil
}
