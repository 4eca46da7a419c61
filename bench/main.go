// Command bench compares Fledge with mksquashfs, tar2sqfs and the usual pipeline (skopeo, umoci, mksquashfs) on the same
// machine in the same run: `go run ./bench` from the repository's root, as root.
//
// Every task runs once a round, so that what else the machine does meets all alike; the tables show medians and ratios.
// The corpus is the Debian system of e2e/corpus, or any OCI layout.
//
// `go run ./bench --filesystems` compares EROFS and ext4 images with what mkfs.erofs and mke2fs make of the same tree,
// `go run ./bench --initramfs` initramfs images with what cpio, gzip, pigz and zstd make of it, and
// `go run ./bench --init --rounds 15` compares the init of an initramfs with the least in C; it needs no root.
// `go run ./bench --solve` compares solving a Dockerfile in a machine with buildkitd and runc on the host.
//
// Two write their results into docs/performance.md, as tables, drawings and JSON: `go run ./bench --all` measures all that has
// a goal, and `go run ./bench --monorepo` Bazel builds of many images.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/monorepo"
)

// options are the command line.
type options struct {
	rounds    int
	layout    string
	newest    string
	settings  bool
	today     bool
	growth    bool
	initramfs bool
	kinds     bool
	inits     bool
	solves    bool
	all       bool
	profile   bool
	monorepo  bool
	mono      monorepo.Size
	docs      string
	render    bool
	cores     int
}

func main() {
	o := options{cores: runtime.NumCPU()}
	flag.IntVar(&o.rounds, "rounds", 3, "how often every task runs")
	flag.StringVar(&o.layout, "layout", "", "OCI layout `folder`, tagged latest, to measure with (default: the corpus of e2e/corpus)")
	flag.StringVar(&o.newest, "newest-mksquashfs", os.Getenv("FLEDGE_MKSQUASHFS"),
		"`program` to measure beside the mksquashfs on PATH, or none (default: $FLEDGE_MKSQUASHFS, else Debian sid's, which is fetched)")
	flag.BoolVar(&o.settings, "settings", false, "all compressors, and other levels and block sizes, too")
	flag.BoolVar(&o.today, "pipeline", true, "measure what starts from the layers with skopeo and umoci, too")
	flag.BoolVar(&o.growth, "growth", true, "measure how an app change grows with the base, and a million files")
	flag.BoolVar(&o.initramfs, "initramfs", false, "instead, measure initramfs images against find | cpio | gzip, pigz and zstd")
	flag.BoolVar(&o.kinds, "filesystems", false, "instead, measure EROFS and ext4 images against mkfs.erofs and mke2fs -d")
	flag.BoolVar(&o.inits, "init", false, "instead, measure the init of an initramfs, in virtual machines")
	flag.BoolVar(&o.solves, "solve", false, "instead, measure solving a Dockerfile, in virtual machines")
	flag.BoolVar(&o.all, "all", false, "measure all that has a goal, into the folder of --docs")
	flag.BoolVar(&o.profile, "profile", false, "add CPU profiles of what misses its goal")
	flag.BoolVar(&o.monorepo, "monorepo", false, "instead, measure Bazel builds of many images over few bases, into the folder of --docs")
	flag.IntVar(&o.mono.Images, "images", 200, "of --monorepo: how many images, each with an app layer")
	flag.IntVar(&o.mono.Bases, "bases", 5, "of --monorepo: how many bases")
	baseMB := flag.Int64("base-mb", 40, "of --monorepo: MB of a base; one of ten times the size is measured, too")
	appMB := flag.Float64("app-mb", 1, "of --monorepo: MB of an app layer")
	flag.BoolVar(&o.render, "render", false, "instead, only make the page in the folder of --docs of the JSON files beside it again")
	flag.StringVar(&o.docs, "docs", "docs", "`folder` with the performance.md that results go into")
	flag.Parse()
	o.mono.BaseBytes, o.mono.AppBytes = *baseMB*1e6, int64(*appMB*1e6)
	// Ctrl-C ends the program that is being measured, and by its failure the benchmark, which removes its files.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	if err := run(o); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(o options) error {
	switch {
	case o.rounds < 1:
		return errors.New("--rounds: give 1 or more")
	case o.render:
		return renderAll(o.docs)
	case o.monorepo:
		r, err := measureMonorepo(o, os.Stderr)
		if err != nil {
			return err
		}
		return publish(o.docs, r, r.section())
	case o.solves:
		return measureSolves(o, os.Stdout, os.Stderr)
	case o.inits:
		return measureInits(o, os.Stdout, os.Stderr)
	case os.Geteuid() != 0:
		return errors.New("needs root: umoci unpacks owners and devices")
	}
	return inFolder(func(d folder) error { return compare(o, d) })
}

// inFolder calls f with a folder that it makes and removes, beside the corpus.
func inFolder(f func(d folder) error) (err error) {
	cache, err := corpus.Cache()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return f(folder(dir))
}

// compare measures images against what the peers make.
func compare(o options, d folder) error {
	t, run, err := findTools(o, d)
	if err != nil {
		return err
	}
	c, err := prepare(o, d)
	if err != nil {
		return err
	}
	var groups []group
	switch {
	case o.all:
		groups, err = allGroups(o, t, d, c, &run)
	case o.initramfs:
		groups, err = t.ramGroups(d, c)
	case o.kinds:
		groups, err = t.fsGroups(d, c, o.today)
	default:
		groups, err = t.squashfsGroups(o, d, c)
	}
	if err != nil {
		return err
	}
	got, err := measureGroups(groups, o.rounds, os.Stderr)
	if err != nil {
		return err
	}
	r := newReport(run, groups, got)
	if o.all {
		if err := r.addOthers(o, d, c, os.Stderr); err != nil {
			return err
		}
	}
	if o.profile {
		if r.Profiles, err = profileMissed(d, groups, r.Goals, os.Stderr); err != nil {
			return err
		}
	}
	if o.all {
		return publish(o.docs, r, r.section())
	}
	_, err = fmt.Print(r.section().markdown)
	return err
}
