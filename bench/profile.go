package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// profileSource is a file of package main that makes every command of the packer write a CPU profile.
//
//go:embed cpuprofile.go.txt
var profileSource []byte

// profileVariable names the profile's file to such a packer.
const profileVariable = "FLEDGE_BENCH_CPUPROFILE"

// profile is where the processor time of a task goes.
type profile struct {
	Task string `json:"task"`
	Top  string `json:"top"` // as go tool pprof -top prints it
}

const profileLines = 15 // of the functions that take most, with or without what they call

// profileMissed runs each of Fledge's tasks that a goal not met is about once more, under Go's profiler.
func profileMissed(d folder, groups []group, goals []goal, progress io.Writer) (list []profile, err error) {
	packer := d.file("profiled-packer")
	if err := buildProfiled(d, packer); err != nil {
		return nil, err
	}
	for _, t := range missed(groups, goals) {
		fmt.Fprintln(progress, "profile:", t.name)
		top, err := t.profile(d, packer)
		if err != nil {
			return nil, err
		}
		list = append(list, profile{t.name, top})
	}
	return list, nil
}

// missed are the tasks that goals which are not met are about.
func missed(groups []group, goals []goal) (tasks []task) {
	for _, g := range groups {
		for _, t := range g.tasks {
			if slices.ContainsFunc(goals, func(g goal) bool { return !g.met() && g.Task == t.name }) {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

// buildProfiled builds the packer with profileSource beside its sources.
func buildProfiled(d folder, packer string) error {
	source, overlay := d.file("cpuprofile.go"), d.file("overlay.json")
	if err := os.WriteFile(source, profileSource, 0o644); err != nil {
		return err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(toolrun.Repository(), "tools/packer/cpuprofile.go"): source,
	}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, replace, 0o644); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", packer, "./tools/packer")
	cmd.Dir = toolrun.Repository()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build -overlay ./tools/packer: %w\n%s", err, out)
	}
	return nil
}

// profile runs a task with another packer and returns the functions that took most, of all its steps together.
func (t task) profile(d folder, packer string) (string, error) {
	args := []string{"tool", "pprof", "-top", fmt.Sprintf("-nodecount=%d", profileLines), packer}
	// Or what a busy machine's preemption interrupts would count as runtime.asyncPreempt.
	if err := os.Setenv("GODEBUG", "asyncpreemptoff=1"); err != nil {
		return "", err
	}
	defer os.Unsetenv("GODEBUG")
	defer os.Unsetenv(profileVariable)
	for i, s := range t.steps {
		file := d.file("%d.pprof", i)
		if err := os.Setenv(profileVariable, file); err != nil {
			return "", err
		}
		result, err := toolrun.Run(packer, s[1:]...)
		if err != nil {
			return "", err
		}
		if result.Code != 0 {
			return "", fmt.Errorf("%s: exit code %d\n%s", strings.Join(s, " "), result.Code, result.Output)
		}
		args = append(args, file)
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	return shortTop(string(out)), nil
}

// shortTop leaves out what go tool pprof says about the program and the date, and functions that only call others.
func shortTop(top string) string {
	_, top, _ = strings.Cut(top, "Showing nodes")
	var b strings.Builder
	b.WriteString("Showing nodes")
	for line := range strings.Lines(top) {
		if !strings.HasPrefix(strings.TrimSpace(line), "0 ") {
			b.WriteString(strings.ReplaceAll(line, "github.com/fledge-build/fledge/", ""))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

func writeProfiles(w io.Writer, list []profile) {
	if len(list) == 0 {
		return
	}
	fmt.Fprint(w, "### Where the time goes that misses a goal\n\n")
	for _, p := range list {
		fmt.Fprintf(w, "%s:\n\n```text\n%s\n```\n\n", p.Task, p.Top)
	}
}
