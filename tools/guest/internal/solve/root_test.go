//go:build linux

package solve_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/solve/solvetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/buildkit"
	"github.com/fledge-build/fledge/tools/guest/internal/inputs"
	"github.com/fledge-build/fledge/tools/guest/internal/solve"
)

// insideEnv marks the process of the tests that has a mount namespace of its own.
const insideEnv = "FLEDGE_TEST_INSIDE"

// TestMain runs the tests in a mount namespace of their own, if root runs them: BuildKit mounts.
func TestMain(m *testing.M) {
	logrus.SetLevel(logrus.ErrorLevel) // BuildKit's remarks on its own set-up
	if os.Getuid() != 0 || os.Getenv(insideEnv) != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "fledge-guest")
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1", "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	err = cmd.Run()
	os.RemoveAll(dir) // the mounts in it were the child's alone
	if err != nil {
		os.Exit(1)
	}
}

// start starts a BuildKit on a tmpfs of its own.
func start() (*buildkit.Server, error) { return startWith(buildkit.Options{}) }

func startWith(o buildkit.Options) (*buildkit.Server, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fledge-buildkit")
	if err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return nil, err
	}
	o.Root = dir
	return buildkit.Start(context.Background(), o)
}

// server is the one BuildKit of all tests, until one asks for a fresh one.
var server = sync.OnceValues(start)

// fresh makes the next solve use a BuildKit that knows nothing.
func fresh(t *testing.T) {
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	server = sync.OnceValues(start)
}

// outcome is what became of a solve.
type outcome struct {
	archive []byte
	digest  string
	failure *wire.Failure
	events  []wire.Event
}

// log is what the steps wrote.
func (o outcome) log() string {
	var b strings.Builder
	for _, e := range o.events {
		if e.Kind == wire.EventLog {
			fmt.Fprintln(&b, e.Text)
		}
	}
	return b.String()
}

func run(t *testing.T, base solvetest.Base, c solvetest.Case, secrets wire.Secrets) outcome {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("BuildKit mounts, which needs root")
	}
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	disk := solvetest.Disk(t, base, c)
	in, err := inputs.Open(bytes.NewReader(disk), int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	var b bytes.Buffer
	o.digest, o.failure = solve.Run(context.Background(), s.Client, solve.Task{
		Inputs: in, Secrets: secrets, Output: &b, Events: func(e wire.Event) { o.events = append(o.events, e) },
	})
	o.archive = b.Bytes()
	return o
}

// image is the image of a case that must succeed.
func image(t *testing.T, c solvetest.Case, secrets wire.Secrets) (solvetest.Image, outcome) {
	t.Helper()
	o := run(t, solvetest.Busybox(t), c, secrets)
	if o.failure != nil {
		t.Fatalf("%s\n%s", o.failure, o.log())
	}
	return solvetest.ReadImage(t, o.archive), o
}
