//go:build linux

package machine

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

func TestNumbers(t *testing.T) {
	if m := MemInfo(); m["MemTotal"] <= 0 || m["MemAvailable"] <= 0 || m["MemAvailable"] > m["MemTotal"] {
		t.Errorf("total %d, available %d", m["MemTotal"], m["MemAvailable"])
	}
	if Uptime() <= 0 {
		t.Error("no time since boot")
	}
	want := wire.Times{Init: 1.5, Solved: 2}
	if got, err := ParseTimes(FormatTimes(want)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSiginfoPID(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
	if err != nil || SiginfoPID(&info) != cmd.Process.Pid {
		t.Errorf("got %d, want %d, %v", SiginfoPID(&info), cmd.Process.Pid, err)
	}
	cmd.Wait()
}

func TestExplain(t *testing.T) {
	w := StartWatch(t.TempDir())
	defer w.Stop()
	space := wire.Failure{Kind: wire.FailRun, Message: "exit code: 1", Output: []string{"dd: No space left on device"}}
	f := space
	w.Explain(&f)
	if f.Kind != wire.FailRun {
		t.Errorf("the file system is not full, but: %+v", f)
	}
	w.mu.Lock()
	w.free = 0
	w.mu.Unlock()
	w.Explain(&f)
	if f.Kind != wire.FailScratch || !strings.Contains(f.Message, "scratch space") {
		t.Errorf("got %+v", f)
	}
	w.kills--
	f = space
	if w.Explain(&f); f.Kind != wire.FailOOM {
		t.Errorf("got %+v", f)
	}
	f = wire.Failure{Kind: wire.FailSource}
	if w.Explain(&f); f.Kind != wire.FailSource {
		t.Errorf("got %+v", f)
	}
}

// TestWatchWithoutScratch watches a scratch space that cannot be looked at: memory is told all the same.
func TestWatchWithoutScratch(t *testing.T) {
	m := StartWatch(t.TempDir() + "/none").Stop()
	if m.MinAvailable <= 0 || m.MinAvailable > m.Total || m.ScratchUsed != 0 {
		t.Errorf("%+v", m)
	}
}
