package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// runInfo says how figures came about.
type runInfo struct {
	Command  string   `json:"command"`
	Date     string   `json:"date"` // UTC, YYYY-MM-DD
	Rounds   int      `json:"rounds"`
	CPU      string   `json:"cpu"` // model
	Cores    int      `json:"cores"`
	MemoryGB float64  `json:"memory_gb"`
	Kernel   string   `json:"kernel"`             // version, without what the distribution adds
	Load     string   `json:"load"`               // 1 minute's average at the start
	Versions []string `json:"versions,omitempty"` // of other programs
	Skipped  []string `json:"skipped,omitempty"`  // what was not measured, and why
}

func newRun(rounds int) runInfo {
	r := runInfo{
		Command: command(),
		Date:    time.Now().UTC().Format(time.DateOnly), Rounds: rounds, CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", Load: "unknown",
	}
	if v := procField("/proc/cpuinfo", "model name"); v != "" {
		r.CPU = v
	}
	var kilobytes float64
	if _, err := fmt.Sscanf(procField("/proc/meminfo", "MemTotal"), "%f kB", &kilobytes); err == nil {
		r.MemoryGB = float64(int(kilobytes/1e5)) / 10
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		r.Kernel, _, _ = strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load, _, _ = strings.Cut(string(load), " ")
	}
	return r
}

// command is the command line, without the folder that results go into.
func command() string {
	line := "go run ./bench"
	flag.Visit(func(f *flag.Flag) {
		switch value := f.Value.String(); {
		case f.Name == "docs":
		case value == "true":
			line += " --" + f.Name
		default:
			line += fmt.Sprintf(" --%s=%s", f.Name, value)
		}
	})
	return line
}

// procField is the value of the first line "name : value" of a file of /proc, or "".
func procField(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// markdown says it in a page.
func (r runInfo) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` on %s: %s, %d cores, %.1f GB, Linux %s, load %s at the start; medians, rounds: %d.", r.Command, r.Date, r.CPU,
		r.Cores, r.MemoryGB, r.Kernel, r.Load, r.Rounds)
	if len(r.Versions) > 0 {
		fmt.Fprintf(&b, " With %s.", strings.Join(r.Versions, "; "))
	}
	b.WriteString("\n\n")
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "Not measured: %s.\n\n", s)
	}
	return b.String()
}

// section is a part of docs/performance.md that a command writes, with the drawings that it shows.
type section struct {
	name     string // of the markers, the JSON file and the drawings
	markdown string
	drawings map[string][]byte // file name in docs/performance -> SVG
}

const (
	page    = "performance.md"
	results = "performance" // folder of the JSON files and drawings
)

// skip notes, on standard error too, that something is not measured.
func (r *runInfo) skip(what string, why error) {
	text := strings.ReplaceAll(fmt.Sprintf("%s: %v", what, why), "\n", ", ")
	fmt.Fprintln(os.Stderr, "bench: not measured:", text)
	r.Skipped = append(r.Skipped, text)
}

// publish prints a section and saves it.
func publish(docs string, figures any, s section) error {
	fmt.Print(s.markdown)
	return save(docs, figures, s)
}

// save writes figures as JSON, and the page and the drawings that are made of them, into the folder docs.
func save(docs string, figures any, s section) error {
	data, err := json.MarshalIndent(figures, "", "\t")
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(docs, page))
	if err != nil {
		return err
	}
	text, err := replaceSection(old, s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(docs, results), 0o755); err != nil {
		return err
	}
	files := map[string][]byte{page: text, filepath.Join(results, s.name+".json"): append(data, '\n')}
	for name, svg := range s.drawings {
		files[filepath.Join(results, name)] = svg
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(docs, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// renderers make sections of their JSON files.
var renderers = map[string]func(data []byte) (any, section, error){"all": renderAs[report], "monorepo": renderAs[monoResults]}

func renderAs[T interface{ section() section }](data []byte) (any, section, error) {
	var figures T
	if err := json.Unmarshal(data, &figures); err != nil {
		return nil, section{}, err
	}
	return figures, figures.section(), nil
}

// renderAll makes the page and the drawings of the JSON files again.
func renderAll(docs string) error {
	for name, render := range renderers {
		file := filepath.Join(docs, results, name+".json")
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "bench: left as it is:", err)
			continue
		}
		if err != nil {
			return err
		}
		figures, s, err := render(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := save(docs, figures, s); err != nil {
			return err
		}
	}
	return nil
}

// markers are the lines of a page that a section is between.
func (s section) markers() (begin, end string) {
	return "<!-- bench:" + s.name + " -->\n", "<!-- end of bench:" + s.name + " -->\n"
}

// marked is the section with its markers, as a page has it.
func (s section) marked() string {
	begin, end := s.markers()
	return begin + "\n" + strings.TrimSpace(s.markdown) + "\n\n" + end
}

// replaceSection puts a section in place of what is between its markers in a page.
func replaceSection(page []byte, s section) ([]byte, error) {
	begin, end := s.markers()
	before, rest, ok := strings.Cut(string(page), begin)
	if !ok {
		return nil, fmt.Errorf("no line %q in the page: put it where the results shall be", strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return nil, fmt.Errorf("no line %q in the page after the one that begins the section", strings.TrimSpace(end))
	}
	return []byte(before + s.marked() + after), nil
}
