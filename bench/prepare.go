package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

// findTools builds the packer and looks up the peers, whose versions go into the description of the run.
func findTools(o options, d folder) (t tools, run runInfo, err error) {
	run = newRun(o.rounds)
	if t.packer, err = toolrun.BuildPacker(string(d)); err != nil {
		return t, run, err
	}
	err = need(map[string]string{"mksquashfs": "squashfs-tools", "umoci": "umoci", "skopeo": "skopeo"})
	if err != nil {
		return t, run, err
	}
	t.mksquashfs = "mksquashfs"
	if t.newest, err = newestMksquashfs(o.newest); err != nil {
		run.skip("the newest mksquashfs", err)
	}
	if t.tar2sqfs, err = exec.LookPath("tar2sqfs"); err != nil {
		run.skip("tar2sqfs", fmt.Errorf("%w (apt install squashfs-tools-ng)", err))
	}
	for _, command := range [][]string{
		{"mksquashfs", "-version"}, {t.newest, "-version"}, {"tar2sqfs", "--version"}, {"umoci", "--version"}, {"skopeo", "--version"},
		{"mkfs.erofs", "-V"}, {"mke2fs", "-V"}, {"cpio", "--version"}, {"gzip", "--version"}, {"pigz", "--version"}, {"zstd", "--version"},
	} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err == nil && len(out) > 0 {
			run.Versions = append(run.Versions, shortVersion(string(out)))
		}
	}
	return t, run, nil
}

// shortVersion is the first line of what a program says about its version, without remarks in it.
func shortVersion(output string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(output), "\n")
	line, _, _ = strings.Cut(line, " (")
	return strings.Trim(line, "* ")
}

// need fails for programs, each with its Debian package, that are not installed.
func need(programs map[string]string) error {
	var errs []error
	for program, pkg := range programs {
		if _, err := exec.LookPath(program); err != nil {
			errs = append(errs, fmt.Errorf("%w (apt install %s)", err, pkg))
		}
	}
	return errors.Join(errs...)
}

// newestMksquashfs is the program that is asked for, or that of Debian sid, which tools/bootstrap fetches.
func newestMksquashfs(asked string) (string, error) {
	switch asked {
	case "none":
		return "", errors.New("--newest-mksquashfs is none")
	case "":
	default:
		return exec.LookPath(asked)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("bash", filepath.Join(toolrun.Repository(), "tools/bootstrap/setup.sh"), filepath.Join(cache, "fledge"), "mksquashfs")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, lastLine(stderr.String()))
	}
	_, path, ok := strings.Cut(strings.TrimSpace(string(out)), "FLEDGE_MKSQUASHFS=")
	if !ok {
		return "", fmt.Errorf("tools/bootstrap/setup.sh says %q", out)
	}
	return strings.Trim(path, "'"), nil
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
