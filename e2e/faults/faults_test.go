// Package faults has Fledge's programs killed, out of room, kept from writing, run several at once and with a clock that
// jumps: an output is whole or not there, what is kept between builds is right, and the next build makes the bytes of an
// undisturbed one. docs/faults.md tells what is promised.
//
// What no test here can do is to cut the power: that a name is on the disk only after its bytes is what the code says
// (cli.WriteKept), for what a later build takes without reading all of it.
package faults

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/harness"
)

var seed = flag.Uint64("seed", 0, "`number` that the moments of the kills come from; 0 takes the time")

// TestFaults runs everything that needs no Bazel, with programs that are built once.
func TestFaults(t *testing.T) {
	harness.NeedSlow(t, "builds the programs, and runs them some hundred times")
	k := newKit(t)
	t.Run("killed", k.testKilled)
	t.Run("killed at a name", k.testKilledAtName)
	t.Run("a name that cannot be given", k.testNameFails)
	t.Run("disk full", k.testDiskFull)
	t.Run("disk of a machine full", k.testMachineDiskFull)
	t.Run("read-only", k.testReadOnly)
	t.Run("another user", k.testAnotherUser)
	t.Run("at once", k.testAtOnce)
	t.Run("clean at once", k.testCleanAtOnce)
	t.Run("times of files", k.testFileTimes)
	t.Run("clock", k.testClock)
}

// moments gives random moments, which the log tells how to have again.
func moments(t *testing.T) *rand.Rand {
	t.Helper()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("the same moments again: -seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}
