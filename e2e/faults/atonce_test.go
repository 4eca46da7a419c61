package faults

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testAtOnce runs an operation several times at once, with the same outputs and the same store, from nothing.
func (k *kit) testAtOnce(t *testing.T) {
	for _, o := range append(k.packerOperations(t), k.fledgeOperation(squashfs, 0)) {
		t.Run(o.name, func(t *testing.T) {
			want, _ := k.undisturbed(t, o)
			for range 3 {
				dir := o.folder(t)
				var runs sync.WaitGroup
				succeeded := make([]bool, 5)
				for i := range succeeded {
					runs.Go(func() { succeeded[i] = k.runBeside(t, o, dir) })
				}
				runs.Wait()
				checkAll(t, dir, want)
				if !slices.Contains(succeeded, true) {
					t.Error("none succeeded")
				}
			}
		})
	}
}

// runBeside runs an operation while others do the same. That one fails of which only one can succeed is right when it says so.
func (k *kit) runBeside(t *testing.T, o operation, dir string) bool {
	args := o.args(dir)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	if err == nil {
		return true
	}
	if !o.once || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "is not empty: it holds") {
		t.Errorf("%v: %s", err, out)
	}
	return false
}

// testCleanAtOnce empties the store again and again while builds run: it waits for them, or they for it.
func (k *kit) testCleanAtOnce(t *testing.T) {
	o := k.fledgeOperation(squashfs, 0)
	want, _ := k.undisturbed(t, o)
	dir := o.folder(t)
	done := make(chan struct{})
	var cleaning sync.WaitGroup
	cleaned, refused := 0, 0
	cleaning.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			out, err := exec.Command(k.fledge, "clean", "--cache", filepath.Join(dir, kept)).CombinedOutput()
			switch {
			case err == nil:
				cleaned++
			case strings.Contains(string(out), "a build is using it; wait until it is done"):
				refused++
			default:
				t.Errorf("fledge clean: %v: %s", err, out)
				return
			}
		}
	})
	for range 4 {
		var builds sync.WaitGroup
		for range 3 {
			builds.Go(func() { k.runBeside(t, o, dir) })
		}
		builds.Wait()
	}
	close(done)
	cleaning.Wait()
	t.Logf("cleaned %d times, refused %d times", cleaned, refused)
	k.must(t, o.args(dir))
	checkAll(t, dir, want)
}
