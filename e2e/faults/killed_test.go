package faults

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// leastKills is how many runs are killed in all, at least.
const leastKills = 100

// testKilled kills runs at random moments, in folders where nothing is, where outputs are already, and where other killed runs have
// left something. Only kills that a run did not outlive count.
func (k *kit) testKilled(t *testing.T) {
	random := moments(t)
	operations := append(k.packerOperations(t),
		k.fledgeOperation(squashfs+"verity = true", 18), k.fledgeOperation("type = \"ext4\"\nsize_buffer_mb = 1", 14))
	all := 0
	for _, o := range operations {
		t.Run(o.name, func(t *testing.T) { all += k.kill(t, o, random) })
	}
	if t.Logf("%d runs were killed", all); all < leastKills && !t.Failed() {
		t.Errorf("only %d runs were killed, and not %d", all, leastKills)
	}
}

// kill kills runs of an operation, and gives how many.
func (k *kit) kill(t *testing.T, o operation, random *rand.Rand) (killed int) {
	want, took := k.undisturbed(t, o)
	dir := o.folder(t)
	left := 0
	for attempt := 0; killed < o.kills && attempt < 10*o.kills; attempt++ {
		if attempt%2 == 0 {
			o.reset(t, dir)
		}
		for range 1 + attempt%2 { // the second begins with what the first left
			if o.once { // it refuses a folder that has something in it
				o.reset(t, dir)
			}
			if !killedAfter(t, o.args(dir), time.Duration(random.Int64N(int64(took)+1))) {
				continue
			}
			killed++
			if others := o.checkWhole(t, dir, want); len(others) > 0 {
				left++
			}
		}
		if o.once {
			o.reset(t, dir)
		}
		k.must(t, o.args(dir))
		if checkAll(t, dir, want); t.Failed() {
			return killed
		}
	}
	t.Logf("%d runs of %s were killed mid-run, after which there were temporary files %d times", killed, took, left)
	if killed < o.kills {
		t.Errorf("%d kills came before the end of a run, and not %d", killed, o.kills)
	}
	return killed
}

// killedAfter starts a program and kills its process group, and tells whether it was still running.
func killedAfter(t *testing.T, args []string, after time.Duration) bool {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error is that it is over already, and not waited for
	err := cmd.Wait()
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &said)
	}
	return false
}

// atName runs an operation with a fault at the moment when an output gets its name: strace stops it there.
func (k *kit) atName(t *testing.T, o operation, dir, output, fault string) run {
	t.Helper()
	const calls = "rename,renameat,renameat2"
	args := []string{"strace", "-f", "-qq", "-o", "/dev/null", "-P", filepath.Join(dir, output),
		"-e", "trace=" + calls, "-e", "inject=" + calls + ":" + fault}
	return k.try(t, append(args, o.args(dir)...))
}

func needStrace(t *testing.T) {
	t.Helper()
	imagetest.Need(t, "strace")
	if out, err := exec.Command("strace", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("strace cannot trace here: %v: %s", err, out)
	}
}

// testKilledAtName kills runs between the moments when two outputs get their names, which hardly any random moment hits: those
// before have theirs, those after have not.
func (k *kit) testKilledAtName(t *testing.T) {
	needStrace(t)
	for _, o := range append(k.packerOperations(t), k.fledgeOperation(squashfs+"verity = true", 0)) {
		t.Run(o.name, func(t *testing.T) {
			want, _ := k.undisturbed(t, o)
			for i, output := range o.outputs {
				dir := o.folder(t)
				if r := k.atName(t, o, dir, output, "signal=KILL"); r.code != -1 {
					t.Fatalf("at %s: exit code %d\n%s", output, r.code, r.output)
				}
				o.checkWhole(t, dir, want)
				got := contents(t, dir)
				for j, other := range o.outputs {
					if _, there := got[other]; there != (j < i) {
						t.Errorf("killed when %s got its name: %s is there: %v", output, other, there)
					}
				}
				if o.once {
					o.reset(t, dir)
				}
				k.must(t, o.args(dir))
				checkAll(t, dir, want)
			}
		})
	}
}

// testNameFails has an output of fledge build not get its name: of all outputs those of the build before are there.
func (k *kit) testNameFails(t *testing.T) {
	needStrace(t)
	before, after := k.fledgeOperation(squashfs, 0), k.fledgeOperation("type = \"squashfs\"\ncompression_level = 9\n", 0)
	for _, output := range before.outputs {
		dir := before.folder(t)
		k.must(t, before.args(dir))
		want := contents(t, filepath.Join(dir, "out"))
		after.prepare(t, dir)
		r := k.atName(t, after, dir, output, "error=ENOSPC")
		path := filepath.Join(dir, output)
		if r.code != 1 || !strings.Contains(r.output, path+": no space left on device: free some") {
			t.Errorf("at %s: exit code %d, %s", output, r.code, r.output)
		}
		checkAll(t, filepath.Join(dir, "out"), want)
	}
}
