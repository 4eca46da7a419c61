// Package toolrun builds Fledge's packer and runs programs, with what each took.
package toolrun

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

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

// BuildStatic builds the repository's package pkg, such as "./tools/init", as images have it: static, for Linux on arch
// (a GOARCH), without debug information. It uses the folder dir.
func BuildStatic(dir, pkg, arch string) (program []byte, err error) {
	path := filepath.Join(dir, "static")
	if err := Build(".", pkg, path, "GOOS=linux", "GOARCH="+arch); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Build builds the package pkg, as the Go module in the repository's folder module names it ("." for the main one), into
// the program out: static and without debug information. env are further variables, NAME=value.
func Build(module, pkg, out string, env ...string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Env = filepath.Join(Repository(), module), append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s in %s: %w\n%s", pkg, module, err, said)
	}
	return nil
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
