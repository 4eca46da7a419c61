// Package harness builds and runs Fledge's tools for tests that use them as users do, from outside.
package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packer is the binary that Main built.
var packer string

// Main builds the packer, runs the tests and removes what it made. A package's TestMain calls it.
func Main(m *testing.M) {
	os.Exit(withPacker(m.Run))
}

func withPacker(run func() int) int {
	dir, err := os.MkdirTemp("", "fledge-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		packer, err = BuildPacker(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// BuildPacker builds tools/packer into the folder dir and returns the binary's path.
func BuildPacker(dir string) (string, error) {
	path := filepath.Join(dir, "packer")
	cmd := exec.Command("go", "build", "-o", path, "./tools/packer")
	cmd.Dir = Repository()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./tools/packer: %w\n%s", err, out)
	}
	return path, nil
}

// Repository is the folder of Fledge's sources.
func Repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Result is how a run of a program ended.
type Result struct {
	Code   int    // exit code, -1 when a signal ended it
	Output string // standard output and standard error
	MaxRSS int64  // peak resident memory in bytes
	Wall   time.Duration
	CPU    time.Duration // user and system
}

// Run runs a program; an exit code is part of the result, not an error.
func Run(name string, args ...string) (Result, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return Result{
		Code:   cmd.ProcessState.ExitCode(),
		Output: out.String(),
		MaxRSS: usage.Maxrss << 10, // Linux counts KiB
		Wall:   time.Since(start),
		CPU:    cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
	}, nil
}

// MustRun is Run for programs that must succeed.
func MustRun(t testing.TB, name string, args ...string) Result {
	t.Helper()
	result, err := Run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	if result.Code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), result.Code, result.Output)
	}
	return result
}

// Packer runs the packer that Main built.
func Packer(t testing.TB, args ...string) Result {
	t.Helper()
	result, err := Run(packer, args...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// MustPacker is Packer for runs that must succeed.
func MustPacker(t testing.TB, args ...string) Result {
	t.Helper()
	return MustRun(t, packer, args...)
}

// NeedSlow skips the test unless FLEDGE_E2E is 1, which CI and whoever has minutes to spare set.
func NeedSlow(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("FLEDGE_E2E") != "1" {
		t.Skip("takes minutes, set FLEDGE_E2E=1 to run it: " + why)
	}
}
