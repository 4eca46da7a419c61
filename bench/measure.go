package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// step is one program of a task.
type step []string

// task is what is measured: steps that run one after the other, the time of all of them together.
type task struct {
	name    string
	steps   []step
	output  string   // file whose size counts, or ""
	made    []string // further files that stay; like the output they must not be there before a run
	scratch []string // files and folders that must not be there before a run, and do not stay
}

// group is tasks that a table compares.
type group struct {
	title string
	slug  string // of its drawing, or "": it has none
	of    string // what the names of tasks end with, after ", ", and a table leaves out, or ""
	peer  string // name of the task that ratios are to, or ""
	tasks []task
}

// measureGroups runs the tasks of all groups once a round.
func measureGroups(groups []group, rounds int, progress io.Writer) (map[string]figures, error) {
	var tasks []task
	for _, g := range groups {
		tasks = append(tasks, g.tasks...)
	}
	return measure(tasks, rounds, progress)
}

// figures are what a task took, the medians of its runs.
type figures struct {
	wall time.Duration
	cpu  time.Duration
	peak int64 // bytes of memory of the hungriest step
	size int64 // bytes of the output
}

// measure runs every task once a round, so that what else the machine does meets all alike.
func measure(tasks []task, rounds int, progress io.Writer) (map[string]figures, error) {
	runs := map[string][]figures{}
	for round := range rounds {
		for _, t := range tasks {
			f, err := t.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			runs[t.name] = append(runs[t.name], f)
			fmt.Fprintf(progress, "round %d: %-40s %8.2f s\n", round+1, t.name, f.wall.Seconds())
		}
	}
	medians := map[string]figures{}
	for name, list := range runs {
		medians[name] = medianOf(list)
	}
	return medians, nil
}

func (t task) run() (figures, error) {
	for _, path := range slices.Concat(t.scratch, t.made, []string{t.output}) {
		if path == "" {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return figures{}, err
		}
	}
	syscall.Sync() // what is still to be written belongs to the task before
	var f figures
	for _, s := range t.steps {
		result, err := toolrun.Run(s[0], s[1:]...)
		if err != nil {
			return figures{}, err
		}
		if result.Code != 0 {
			return figures{}, fmt.Errorf("%s: exit code %d\n%s", strings.Join(s, " "), result.Code, result.Output)
		}
		f.wall += result.Wall
		f.cpu += result.CPU
		f.peak = max(f.peak, result.MaxRSS)
	}
	if t.output != "" {
		info, err := os.Stat(t.output)
		if err != nil {
			return figures{}, err
		}
		f.size = info.Size()
	}
	for _, path := range t.scratch {
		if err := os.RemoveAll(path); err != nil {
			return figures{}, err
		}
	}
	return f, nil
}

// medianOf takes the median of each figure. Sizes are the same in every run, or the smallest is shown.
func medianOf(list []figures) figures {
	return figures{
		wall: median(list, func(f figures) time.Duration { return f.wall }),
		cpu:  median(list, func(f figures) time.Duration { return f.cpu }),
		peak: median(list, func(f figures) int64 { return f.peak }),
		size: median(list, func(f figures) int64 { return f.size }),
	}
}

func median[T ~int64](list []figures, value func(figures) T) T {
	var values []T
	for _, f := range list {
		values = append(values, value(f))
	}
	return middle(values)
}

// middle is the middle value, the lower of the two for an even number.
func middle[T ~int64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// folder is where a benchmark keeps its files.
type folder string

func (d folder) file(format string, args ...any) string {
	return filepath.Join(string(d), fmt.Sprintf(format, args...))
}
