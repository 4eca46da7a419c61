// Package harness builds and runs Fledge's tools for tests that use them as users do, from outside.
package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// packer is the binary that Main found or built, or missing says why there is none.
var (
	packer  string
	missing error
)

// Main runs a package's tests with a packer: the one that FLEDGE_PACKER names, as Bazel's tests have it, or one that is
// built for the run. A package's TestMain calls it.
func Main(m *testing.M) {
	os.Exit(withPacker(m.Run))
}

func withPacker(run func() int) int {
	if packer = os.Getenv("FLEDGE_PACKER"); packer != "" {
		// Under Bazel the path is relative to the runfiles' root, and tests begin in their package's folder.
		if runfiles := os.Getenv("TEST_SRCDIR"); runfiles != "" {
			packer = filepath.Join(runfiles, os.Getenv("TEST_WORKSPACE"), packer)
		}
		if packer, missing = filepath.Abs(packer); missing == nil {
			return run()
		}
	}
	dir, err := os.MkdirTemp("", "fledge-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	packer, missing = toolrun.BuildPacker(dir)
	return run()
}

// MustRun runs a program that must succeed.
func MustRun(t testing.TB, name string, args ...string) toolrun.Result {
	t.Helper()
	result, err := toolrun.Run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	if result.Code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), result.Code, result.Output)
	}
	return result
}

// Packer runs the packer that Main built.
func Packer(t testing.TB, args ...string) toolrun.Result {
	t.Helper()
	if missing != nil {
		t.Fatal(missing)
	}
	result, err := toolrun.Run(packer, args...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// MustPacker is Packer for runs that must succeed.
func MustPacker(t testing.TB, args ...string) toolrun.Result {
	t.Helper()
	if missing != nil {
		t.Fatal(missing)
	}
	return MustRun(t, packer, args...)
}

// NeedSlow skips the test unless FLEDGE_E2E is 1, which CI and whoever has minutes to spare set.
func NeedSlow(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("FLEDGE_E2E") != "1" {
		t.Skip("takes minutes, set FLEDGE_E2E=1 to run it: " + why)
	}
}
