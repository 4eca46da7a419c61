package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page is the unit of a tmpfs's size, in bytes.
const page = 4096

// sizes are those of disks from none to nearly enough for so many bytes.
func sizes(enough int64) (list []int64) {
	list = append(list, 0)
	for _, size := range []int64{page, enough / 10, enough / 2, enough * 9 / 10, enough - page} {
		if size = size / page * page; size > list[len(list)-1] && size < enough {
			list = append(list, size)
		}
	}
	return list
}

// testDiskFull has too little room for the outputs, or for what is kept.
func (k *kit) testDiskFull(t *testing.T) {
	if !k.inMountNamespace(t) {
		return
	}
	for _, o := range k.packerOperations(t) {
		t.Run(o.name, func(t *testing.T) {
			want, _ := k.undisturbed(t, o)
			k.fillUp(t, o, "", want)
		})
	}
	build := k.fledgeOperation(squashfs, 0)
	want, _ := k.undisturbed(t, build)
	for _, place := range []string{"out", kept} {
		t.Run("fledge build, "+place, func(t *testing.T) { k.fillUp(t, build, place, want) })
	}
	t.Run("fledge build, TMPDIR", func(t *testing.T) { k.fullTMPDIR(t, build, want) })
}

// fillUp runs an operation whose folder place is a disk that is too small, of several sizes; when there is more room the next run
// succeeds.
func (k *kit) fillUp(t *testing.T, o operation, place string, want map[string]string) {
	t.Helper()
	whole := o.folder(t)
	k.must(t, o.args(whole))
	for _, size := range sizes(used(t, filepath.Join(whole, place))) {
		dir := t.TempDir()
		if o.prepare != nil {
			o.prepare(t, dir)
		}
		at := filepath.Join(dir, place)
		other := filepath.Join(at, "other")
		switch {
		case place != kept: // there is no disk without a page, so that one is taken
			mountRoom(t, at, size+page)
			writeFile(t, other, strings.Repeat("x", page))
		case size > 0:
			mountRoom(t, at, size)
		default:
			continue
		}
		got := k.try(t, o.args(dir))
		k.checkFull(t, got, dir, place)
		if err := os.RemoveAll(other); err != nil {
			t.Fatal(err)
		}
		if others := o.checkWhole(t, dir, want); len(others) > 0 && place != kept {
			t.Errorf("left are %q", others)
		}
		for _, output := range o.outputs {
			if _, err := os.Lstat(filepath.Join(dir, output)); err == nil {
				t.Errorf("with room for %d bytes there is %s", size, output)
			}
		}
		remount(t, at, 0, fmt.Sprintf("size=%d", 64<<20))
		k.must(t, o.args(dir))
		checkAll(t, dir, want)
	}
}

// checkFull holds that an error has the exit code of errors, names the file and says what helps.
func (k *kit) checkFull(t *testing.T, got run, dir, place string) {
	t.Helper()
	texts := []string{"no space left on device", filepath.Join(dir, place) + "/"}
	if place == kept {
		texts = append(texts, "`fledge clean` frees what is kept in "+filepath.Join(dir, kept), "--cache or FLEDGE_CACHE names another folder")
	} else {
		texts = append(texts, "free some on its file system, or write to another")
	}
	if strings.Contains(got.output, ".fledge-") {
		t.Errorf("it names a temporary file: %s", got.output)
	}
	for _, text := range texts {
		if got.code != 1 || !strings.Contains(got.output, text) {
			t.Errorf("exit code %d, and without %q: %s", got.code, text, got.output)
		}
	}
}

// fullTMPDIR has no room at all where temporary files usually are, which no build needs that has no machine.
func (k *kit) fullTMPDIR(t *testing.T, o operation, want map[string]string) {
	full := t.TempDir()
	mountRoom(t, full, page)
	writeFile(t, filepath.Join(full, "all"), strings.Repeat("x", page))
	dir := o.folder(t)
	k.must(t, o.args(dir), "TMPDIR="+full)
	checkAll(t, dir, want)
}
