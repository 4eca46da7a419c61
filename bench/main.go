// Command bench compares Fledge with mksquashfs, tar2sqfs and the usual pipeline (skopeo, umoci, mksquashfs) on the same
// machine in the same run: `go run ./bench` from the repository's root, as root.
//
// Every task runs once a round, so that what else the machine does meets all alike; the tables show medians and ratios.
// The corpus is the Debian system of e2e/corpus, or any OCI layout.
//
// `go run ./bench --filesystems` compares EROFS and ext4 images with what mkfs.erofs and mke2fs make of the same tree,
// `go run ./bench --initramfs` initramfs images with what cpio, pigz and zstd make of it, and
// `go run ./bench --init --rounds 15` compares the init of an initramfs with the least in C; it needs no root.
// `go run ./bench --solve` compares solving a Dockerfile in a machine with buildkitd and runc on the host.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

var (
	zstd15 = setting{"zstd", 15, 128 << 10}
	zstd3  = setting{"zstd", 3, 128 << 10}
	others = []setting{
		{"zstd", 15, 1 << 20}, {"zstd", 9, 128 << 10}, {"gzip", 9, 128 << 10}, {"xz", 0, 128 << 10}, {"lz4", 0, 128 << 10},
		{"none", 0, 128 << 10},
	}
)

// options are the command line.
type options struct {
	rounds     int
	layout     string
	mksquashfs string
	all        bool
	today      bool
	growth     bool
	initramfs  bool
	kinds      bool
	inits      bool
	solves     bool
	cores      int
}

func main() {
	o := options{cores: runtime.NumCPU()}
	flag.IntVar(&o.rounds, "rounds", 3, "how often every task runs")
	flag.StringVar(&o.layout, "layout", "", "OCI layout `folder`, tagged latest, to measure with (default: the corpus of e2e/corpus)")
	flag.StringVar(&o.mksquashfs, "mksquashfs", "mksquashfs", "mksquashfs `program`, for a newer one than Debian's")
	flag.BoolVar(&o.all, "all", false, "all compressors, and other levels and block sizes, too")
	flag.BoolVar(&o.today, "pipeline", true, "measure what starts from the layers with skopeo and umoci, too")
	flag.BoolVar(&o.growth, "growth", true, "measure how an app change grows with the base, and a million files")
	flag.BoolVar(&o.initramfs, "initramfs", false, "instead, measure initramfs images against find | cpio | pigz and zstd")
	flag.BoolVar(&o.kinds, "filesystems", false, "instead, measure EROFS and ext4 images against mkfs.erofs and mke2fs -d")
	flag.BoolVar(&o.inits, "init", false, "instead, measure the init of an initramfs, in virtual machines")
	flag.BoolVar(&o.solves, "solve", false, "instead, measure solving a Dockerfile, in virtual machines")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	if o.solves {
		return measureSolves(o, os.Stdout, os.Stderr)
	}
	if o.inits {
		return measureInits(o, os.Stdout, os.Stderr)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: umoci unpacks owners and devices")
	}
	cache, err := corpus.Cache()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	d := folder(work)
	t, versions, err := findTools(o, work)
	if err != nil {
		return err
	}
	c, err := prepare(o, d)
	if err != nil {
		return err
	}
	writeHead(os.Stdout, o, versions, o.rounds)
	switch {
	case o.initramfs:
		return compareInitramfs(o, t, d, c)
	case o.kinds:
		return compareFilesystems(o, t, d, c)
	}
	return compareSquashfs(o, t, d, c)
}

// compareSquashfs measures squashfs images, and how an app change grows with the base.
func compareSquashfs(o options, t tools, d folder, c corpusFiles) error {
	settings := []setting{zstd15, zstd3}
	if o.all {
		settings = append(settings, others...)
	}
	all := map[string]figures{}
	for _, s := range settings {
		if err := compareSetting(o, t, d, c, s, all); err != nil {
			return err
		}
	}
	if o.growth {
		tasks, err := t.growthTasks(d)
		if err != nil {
			return err
		}
		if err := report("Growth", tasks, o.rounds, "", all); err != nil {
			return err
		}
	}
	writeGoals(os.Stdout, goals(all, settings, o.today))
	return nil
}

func compareSetting(o options, t tools, d folder, c corpusFiles, s setting, all map[string]figures) error {
	tasks := t.compare(d, c, s)
	if s == zstd15 || s == zstd3 {
		tasks = append(tasks, t.fresh(d, c, s))
		if o.today {
			tasks = append(tasks, t.today(d, c, s))
		}
	}
	return report(s.String(), tasks, o.rounds, named(mksquashfs, s), all)
}

// report measures tasks, prints their table and adds the figures to all.
func report(title string, tasks []task, rounds int, peer string, all map[string]figures) error {
	got, err := measure(tasks, rounds, os.Stderr)
	if err != nil {
		return err
	}
	writeTable(os.Stdout, title, tasks, got, peer)
	for name, f := range got {
		all[name] = f
	}
	return nil
}

// findTools builds the packer and looks up the peers; it also returns the peers' versions.
func findTools(o options, dir string) (t tools, versions []string, err error) {
	if t.packer, err = toolrun.BuildPacker(dir); err != nil {
		return t, nil, err
	}
	if t.mksquashfs, err = exec.LookPath(o.mksquashfs); err != nil {
		return t, nil, fmt.Errorf("%w (apt install squashfs-tools)", err)
	}
	for _, program := range []string{"umoci", "skopeo"} {
		if _, err := exec.LookPath(program); err != nil {
			return t, nil, fmt.Errorf("%w (apt install %s)", err, program)
		}
	}
	t.tar2sqfs, err = exec.LookPath("tar2sqfs")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: without tar2sqfs, which is not installed (apt install squashfs-tools-ng)")
	}
	for _, command := range [][]string{{t.mksquashfs, "-version"}, {"tar2sqfs", "--version"}, {"umoci", "--version"}, {"skopeo", "--version"}} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err == nil {
			line, _, _ := strings.Cut(string(out), "\n")
			versions = append(versions, line)
		}
	}
	return t, versions, nil
}

// prepare makes what the tasks start from, outside of the measurement.
func prepare(o options, d folder) (corpusFiles, error) {
	c := corpusFiles{layout: o.layout, tar: d.file("tree.tar")}
	var err error
	if c.layout == "" {
		c.layout, err = corpus.Make(context.Background(), corpus.Options{Compression: layers.Gzip}, os.Stderr)
		if err != nil {
			return c, err
		}
	}
	if c.blobs, err = layers.Blobs(c.layout); err != nil {
		return c, err
	}
	unpacked := d.file("unpacked")
	c.tree = filepath.Join(unpacked, "rootfs")
	_, err = task{name: "preparation", steps: []step{
		{"umoci", "unpack", "--image", c.layout + ":" + layers.Tag, unpacked},
		{
			"tar", "--create", "--file", c.tar, "--directory", c.tree, "--format=pax", "--sparse", "--sort=name", "--numeric-owner",
			"--xattrs", "--xattrs-include=*", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", ".",
		},
	}}.run()
	return c, err
}
