package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/e2e/bazel"
	"github.com/fledge-build/fledge/e2e/monorepo"
)

// Changes before a build of all images.
const (
	changeAll  = "all (cold)"
	changeNone = "nothing"
	changeApp  = "one app"
	changeBase = "one base"
)

// baseGrowth is how many times the size of a base is, for each workspace that shows what the base's size costs.
var baseGrowth = []int64{1, 2, 4, 10}

// downloadAll has a build that uses Bazel's disk cache put all files into the output base, so that builds without it need not
// make them again.
const downloadAll = "--remote_download_outputs=all"

const grownImages = 2 // in these workspaces

// monoRow is what the builds of a workspace took after one kind of change: medians.
type monoRow struct {
	Change      string         `json:"change"`
	Size        monorepo.Size  `json:"size"`
	Seconds     float64        `json:"seconds"`
	Actions     map[string]int `json:"actions"` // that ran, by mnemonic
	OutputBytes int64          `json:"output_bytes"`
	Written     int64          `json:"written_bytes"` // by Bazel's server and all that it ran
	ServerPeak  int64          `json:"server_peak_bytes"`
	ToolPeak    int64          `json:"tool_peak_bytes"`
	Copy        float64        `json:"copy_seconds,omitempty"` // of the changed app's image
	Hash        float64        `json:"hash_seconds,omitempty"` // of its SHA-256
}

// monoResults are the figures of --monorepo.
type monoResults struct {
	Run    runInfo   `json:"run"`
	Images []monoRow `json:"images"` // growing number of images
	Bases  []monoRow `json:"bases"`  // growing size of the base, two images
}

// mono measures workspaces, one after the other in the same folder, by one Bazel server.
type mono struct {
	bazel    *bazel.Workspace
	rounds   int
	seed     int // of the last layer that was written
	copied   string
	progress io.Writer
}

// measureMonorepo measures what changes cost in a workspace of many images, and how that grows with the number of images
// and with the size of a base.
func measureMonorepo(o options, progress io.Writer) (r monoResults, err error) {
	r.Run = newRun(o.rounds)
	if o.mono.Images < 1 || o.mono.Bases < 1 {
		return r, errors.New("--images and --bases: give 1 or more")
	}
	parent, err := bazel.Parent()
	if err != nil {
		return r, err
	}
	if err := needSpace(parent, monoSpace(o.mono)); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp(parent, "monorepo-")
	if err != nil {
		return r, err
	}
	w, err := bazel.New(dir)
	if err != nil {
		return r, errors.Join(err, os.RemoveAll(dir))
	}
	defer removeWorkspace(w, dir, &err)
	version, err := os.ReadFile(filepath.Join(w.Dir, ".bazelversion"))
	if err != nil {
		return r, err
	}
	r.Run.Versions = append(r.Run.Versions, "Bazel "+strings.TrimSpace(string(version)))
	m := &mono{bazel: w, rounds: o.rounds, copied: filepath.Join(dir, "copied"), progress: progress}
	for _, images := range fractions(o.mono.Images) {
		size := o.mono
		size.Images = images
		rows, err := m.measure(size, changeNone, changeApp, changeBase)
		if err != nil {
			return r, err
		}
		r.Images = append(r.Images, rows...)
	}
	for _, times := range baseGrowth {
		size := monorepo.Size{Images: grownImages, Bases: 1, BaseBytes: times * o.mono.BaseBytes, AppBytes: o.mono.AppBytes}
		rows, err := m.measure(size, changeNone, changeApp)
		if err != nil {
			return r, err
		}
		r.Bases = append(r.Bases, rows...)
	}
	return r, nil
}

// fractions are an eighth, a quarter, half and all of a number of images.
func fractions(images int) []int {
	return slices.Compact([]int{max(1, images/8), max(1, images/4), max(1, images/2), images})
}

// monoSpace is how many bytes of disk the measurement takes at most.
func monoSpace(s monorepo.Size) int64 {
	grown := monorepo.Size{Images: grownImages, Bases: 1, BaseBytes: s.BaseBytes * slices.Max(baseGrowth), AppBytes: s.AppBytes}
	const ofServer = 1 << 30 // its Go SDK, modules and standard library
	copied := grown.BaseBytes
	return ofServer + copied + max(s.OutputBytes()+s.InputBytes(), grown.OutputBytes()+grown.InputBytes())
}

// needSpace fails if the file system of a folder has less free space than is needed and a tenth.
func needSpace(dir string, need int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	need += need / 10
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < need {
		return fmt.Errorf("needs %.1f GB in %s, which has %.1f: free some, or give --images, --base-mb or --app-mb less", gigabytes(need), dir, gigabytes(free))
	}
	return nil
}

// measure measures a workspace: a build of all, and, a round each, builds after the changes.
func (m *mono) measure(size monorepo.Size, changes ...string) (rows []monoRow, err error) {
	w := monorepo.Workspace{Dir: m.bazel.Dir, Size: size}
	if err := w.Write(m.nextSeed()); err != nil {
		return nil, err
	}
	// The tools come from Bazel's disk cache where there is one. What is measured has none.
	if _, err := m.bazel.Run("clean"); err != nil {
		return nil, err
	}
	if _, err := m.bazel.Run("build", downloadAll, monorepo.WarmUp); err != nil {
		return nil, err
	}
	cold, err := m.build(w, changeAll)
	if err != nil {
		return nil, err
	}
	runs := map[string][]monoRow{}
	for range m.rounds {
		for _, change := range changes {
			row, err := m.build(w, change)
			if err != nil {
				return nil, err
			}
			runs[change] = append(runs[change], row)
		}
	}
	rows = append(rows, cold)
	for _, change := range changes {
		rows = append(rows, medianRow(runs[change]))
	}
	return rows, nil
}

func (m *mono) nextSeed() string {
	m.seed++
	return fmt.Sprint(m.seed)
}

// build changes what it is told and measures the build of all images, and beside it the copy of an image that changed.
func (m *mono) build(w monorepo.Workspace, change string) (row monoRow, err error) {
	switch change {
	case changeApp:
		err = w.ChangeApp(0, m.nextSeed())
	case changeBase:
		err = w.ChangeBase(0, m.nextSeed())
	}
	if err != nil {
		return row, err
	}
	b, err := measureBuild(m.bazel, "--disk_cache=", monorepo.All)
	if err != nil {
		return row, err
	}
	row = monoRow{
		Change: change, Size: w.Size, Seconds: b.took.Seconds(), Actions: b.actions, OutputBytes: b.output, Written: b.written,
		ServerPeak: b.server, ToolPeak: b.tool,
	}
	fmt.Fprintf(m.progress, "%4d images, bases of %4d MB, changed: %-10s %8.2f s\n", w.Size.Images, w.Size.BaseBytes/1e6, change, row.Seconds)
	if change != changeApp {
		return row, nil
	}
	image := filepath.Join(w.Dir, monorepo.ImageFile(0))
	copied, err := task{output: m.copied, steps: []step{{"cp", image, m.copied}}}.run()
	if err != nil {
		return row, err
	}
	hashed, err := task{steps: []step{{"sha256sum", m.copied}}}.run()
	row.Copy, row.Hash = copied.wall.Seconds(), hashed.wall.Seconds()
	return row, errors.Join(err, os.Remove(m.copied))
}

// medianRow takes the median of each figure. What ran is the same in every run.
func medianRow(list []monoRow) monoRow {
	row := list[0]
	mid := func(of func(monoRow) float64) float64 {
		var values []time.Duration
		for _, r := range list {
			values = append(values, time.Duration(of(r)*1e9))
		}
		return middle(values).Seconds()
	}
	bytes := func(of func(monoRow) int64) int64 {
		var values []int64
		for _, r := range list {
			values = append(values, of(r))
		}
		return middle(values)
	}
	row.Seconds = mid(func(r monoRow) float64 { return r.Seconds })
	row.Copy, row.Hash = mid(func(r monoRow) float64 { return r.Copy }), mid(func(r monoRow) float64 { return r.Hash })
	row.OutputBytes = bytes(func(r monoRow) int64 { return r.OutputBytes })
	row.Written = bytes(func(r monoRow) int64 { return r.Written })
	row.ServerPeak = bytes(func(r monoRow) int64 { return r.ServerPeak })
	row.ToolPeak = bytes(func(r monoRow) int64 { return r.ToolPeak })
	return row
}
