//go:build linux

package buildkit

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/solver/pb"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fledge-build/fledge/tools/guest/internal/step"
)

func TestLimitFiles(t *testing.T) {
	memory, swap, shares, quota, period := int64(1<<20), int64(3<<20), uint64(1024), int64(50000), uint64(200000)
	r := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &memory, Swap: &swap},
		CPU:    &specs.LinuxCPU{Shares: &shares, Quota: &quota, Period: &period, Cpus: "0-1", Mems: "0"},
	}
	want := [][2]string{{"memory.max", "1048576"}, {"memory.swap.max", "2097152"}, {"cpu.weight", "39"},
		{"cpu.max", "50000 200000"}, {"cpuset.cpus", "0-1"}, {"cpuset.mems", "0"}}
	if diff := cmp.Diff(want, limitFiles(r)); diff != "" {
		t.Error(diff)
	}
	// What containerd's specification has anyway is no limit that a step asked for.
	for _, r := range []*specs.LinuxResources{nil, {}, {Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}} {
		if files := limitFiles(r); files != nil {
			t.Errorf("%v: %v", r, files)
		}
	}
	var none *cgroups
	if g, err := none.create("x", nil); g != nil || err != nil || g.dir() != nil || g.oomKills() != 0 {
		t.Errorf("without cgroups: %v, %v", g, err)
	}
	if _, err := none.create("x", r); err == nil {
		t.Error("limits without cgroups are passed over")
	}
}

// TestAttend closes the channel of signals: none of it goes to the command, which there is none of here.
func TestAttend(t *testing.T) {
	signals, done := make(chan syscall.Signal), make(chan struct{})
	close(signals)
	go func() {
		time.Sleep(10 * time.Millisecond)
		close(done)
	}()
	attend(t.Context(), &step.Process{}, signals, done)
}

func TestCheck(t *testing.T) {
	for _, m := range []executor.Meta{
		{CDIDevices: []*pb.CDIDevice{{}}}, {SecurityMode: pb.SecurityMode_INSECURE}, {Tty: true},
	} {
		if check(m) == nil {
			t.Errorf("%+v: no error", m)
		}
	}
	if err := check(executor.Meta{}); err != nil {
		t.Error(err)
	}
}
