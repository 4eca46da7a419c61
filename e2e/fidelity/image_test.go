// Package fidelity holds tests that compare Fledge's images, made by the packer as a user runs it, with what umoci unpacks
// of the same layers: content, mode, owner, time, device numbers, hard links and extended attributes, path by path.
package fidelity

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/internal/imagetest"
)

func TestMain(m *testing.M) { harness.Main(m) }

// extract has unsquashfs extract an image.
func extract(t testing.TB, image string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "extracted")
	imagetest.Run(t, "unsquashfs", "-quiet", "-no-progress", "-dest", dir, image)
	return dir
}

// compare reports where the trees that lines describe differ.
func compare(t testing.TB, what string, want, got []string) {
	t.Helper()
	missing, extra := subtract(want, got), subtract(got, want)
	if len(missing)+len(extra) == 0 {
		return
	}
	const most = 20
	t.Errorf("%s: %d lines that umoci's tree has are missing, %d are not in it", what, len(missing), len(extra))
	for _, line := range missing[:min(most, len(missing))] {
		t.Errorf("- %s", line)
	}
	for _, line := range extra[:min(most, len(extra))] {
		t.Errorf("+ %s", line)
	}
}

func subtract(a, b []string) []string {
	in := map[string]bool{}
	for _, line := range b {
		in[line] = true
	}
	var rest []string
	for _, line := range a {
		if !in[line] {
			rest = append(rest, line)
		}
	}
	return rest
}

// folderSize is in a folder's line of a listing; it follows the places of inodes and is no part of the content.
var folderSize = regexp.MustCompile(`(?m)^(d\S+ \S+) +\d+ `)

// listing is the image as unsquashfs lists it, numerically.
func listing(t testing.TB, image string) []string {
	t.Helper()
	cmd := exec.Command("unsquashfs", "-quiet", "-no-progress", "-lln", image)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("unsquashfs -lln: %v", err)
	}
	lines := strings.Split(folderSize.ReplaceAllString(string(out), "$1 "), "\n")
	slices.Sort(lines)
	return lines
}

// mksquashfs makes the reference image of a folder, only to be listed.
func mksquashfs(t testing.TB, dir string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "reference.img")
	imagetest.Run(t, "mksquashfs", dir, image, "-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX", "-comp", "gzip")
	return image
}
