package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/fledge-build/fledge/e2e/bazel"
	"github.com/fledge-build/fledge/e2e/corpus"
)

// allSpace is about what the files of all groups take, in bytes: every image and pack of a round stays until the next.
const allSpace = 12 << 30

// allGroups are all tasks that are programs which run for seconds. What cannot be measured is noted in run.
func allGroups(o options, t tools, d folder, c corpusFiles, run *runInfo) ([]group, error) {
	if err := needSpace(string(d), allSpace); err != nil {
		return nil, err
	}
	groups, err := t.squashfsGroups(o, d, c)
	if err != nil {
		return nil, err
	}
	if read, err := readGroup(d, zstd15); err != nil {
		run.skip("reading mounted images", err)
	} else {
		groups = append(groups, read)
	}
	if ram, err := t.ramGroups(d, c); err != nil {
		run.skip("initramfs images", err)
	} else {
		groups = append(groups, ram...)
	}
	kinds, err := t.fsGroups(d, c, o.today)
	if err != nil {
		run.skip("EROFS and ext4 images", err)
	}
	return append(groups, kinds...), nil
}

// addOthers measures what is not a matter of programs that run for seconds: goals d and k.
func (r *report) addOthers(o options, d folder, c corpusFiles, progress io.Writer) error {
	if o.layout != "" {
		r.Run.skip("whole Bazel builds", errors.New("--layout is not the corpus"))
	} else {
		rows, err := bazelBuilds(o.rounds, c.layout, progress)
		if err != nil {
			return err
		}
		r.Tables = append(r.Tables, table{Title: "A whole bazel build of the corpus, zstd 3, on a warm server", Rows: rows})
		r.Goals = append(r.Goals, goal{"d", "bazel build, app layer changed - nothing changed", rows[1].Seconds - rows[0].Seconds, 1.5, " s", ""})
	}
	tasks, err := initTasks(d)
	if err != nil {
		return err
	}
	if tasks == nil || !canIsolate() {
		r.Run.skip("the init", errors.New("needs a C compiler, Linux and root"))
		return nil
	}
	if err := measureNatively(tasks, d, nativeRounds*o.rounds); err != nil {
		return err
	}
	t := table{Title: "The init of an initramfs, natively in namespaces"}
	for _, task := range tasks {
		t.Rows = append(t.Rows, row{Name: task.name, Seconds: middle(task.took).Seconds(), Size: int64(task.size)})
	}
	r.Tables = append(r.Tables, t)
	r.Goals = append(r.Goals, goal{"k", "init - the least in C", milliseconds(middle(tasks[0].took) - middle(tasks[1].took)), 5, " ms", ""})
	return nil
}

// bazelBuilds measures builds of the corpus on a warm server: with no change, and with the app layer changed.
func bazelBuilds(rounds int, layout string, progress io.Writer) (rows []row, err error) {
	parent, err := bazel.Parent()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "bench-")
	if err != nil {
		return nil, err
	}
	w, err := bazel.New(dir)
	if err != nil {
		return nil, err
	}
	defer removeWorkspace(w, dir, &err)
	p, err := corpus.NewPackage(w.Dir, layout)
	if err != nil {
		return nil, err
	}
	const target = "//:debian"
	if _, err := w.Run("build", downloadAll, target); err != nil {
		return nil, err
	}
	var nothing, app []time.Duration
	for round := range rounds {
		b, err := measureBuild(w, "--disk_cache=", target)
		if err != nil {
			return nil, err
		}
		if err := p.ChangeApp(fmt.Sprint(time.Now().UnixNano())); err != nil {
			return nil, err
		}
		changed, err := measureBuild(w, "--disk_cache=", target)
		if err != nil {
			return nil, err
		}
		nothing, app = append(nothing, b.took), append(app, changed.took)
		fmt.Fprintf(progress, "round %d: bazel build: %.2f s, app layer changed %.2f s\n", round+1, b.took.Seconds(), changed.took.Seconds())
	}
	return []row{{Name: "nothing changed", Seconds: middle(nothing).Seconds()}, {Name: "app layer changed", Seconds: middle(app).Seconds()}}, nil
}

// removeWorkspace ends the server of a workspace and removes its folder, from which Bazel took the write bits.
func removeWorkspace(w *bazel.Workspace, dir string, err *error) {
	_, stopped := w.Run("shutdown")
	exec.Command("chmod", "-R", "u+w", dir).Run()
	*err = errors.Join(*err, stopped, os.RemoveAll(dir))
}
