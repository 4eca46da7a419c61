package cachedir

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// workerEnv has the directory that a worker process uses.
const workerEnv = "FLEDGE_TEST_CACHEDIR"

// TestWorker is a process of TestProcesses.
func TestWorker(t *testing.T) {
	dir, name, _ := strings.Cut(os.Getenv(workerEnv), "=")
	if dir == "" {
		t.Skip("a part of TestProcesses")
	}
	d := open(t, dir, 6000)
	for i := range 30 {
		s := use(t, d, fmt.Sprint("key", i%5))
		contents(t, s)
		save(t, s, "shared", name, strings.Repeat(fmt.Sprint(i%7), 1000))
	}
}

// TestProcesses has processes use a directory that is too small for all.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	var running []*exec.Cmd
	for i := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWorker$", "-test.v")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s=worker %d", workerEnv, dir, i))
		out := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, cmd.Stdout)
		}
	}
	d := open(t, dir, 6000)
	if n := size(t, d); n > 6000 || n == 0 {
		t.Errorf("%d bytes", n)
	}
	if list, err := os.ReadDir(d.sessions()); err != nil || len(list) > 0 {
		t.Errorf("%d sessions stay, %v", len(list), err)
	}
	s := use(t, d, "key0")
	defer s.Close()
	if len(s.Manifests) == 0 {
		t.Error("nothing is left")
	}
}
