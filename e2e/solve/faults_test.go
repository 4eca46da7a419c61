package solve

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFaults has what goes wrong in a machine, each with its own words.
func TestFaults(t *testing.T) {
	k := newKit(t)
	for _, c := range []struct {
		name, dockerfile string
		args             []string
		want             []string
	}{
		{"syntax", "FROM busybox:1\nRUNN true\n", nil, []string{"Dockerfile:2: ", "unknown instruction: RUNN", ">   2 | RUNN true"}},
		{"exit code", "FROM busybox:1\nRUN echo about to fail && exit 7\n", nil,
			[]string{"Dockerfile:2: ", "exit code: 7", "about to fail", "[1/2] RUN echo"}},
		{"undeclared base", "FROM alpine:3.22\nRUN true\n", nil,
			[]string{"Dockerfile:1: ", "alpine:3.22", `base_images = {"alpine:3.22": "@alpine_3_22"}`}},
		{"undeclared images", "ARG V=3.22\nFROM alpine:$V AS a\nFROM busybox:1\nCOPY --from=a / /\nCOPY --from=example.com/b:1 / /\n", nil,
			[]string{`base_images = {"alpine:3.22": "@alpine_3_22", "example.com/b:1": "@example_com_b_1"}`}},
		{"missing file", "FROM busybox:1\nCOPY nothing /\n", nil, []string{"Dockerfile:2: ", "nothing", "not found"}},
		{"other syntax", "# syntax=example.com/other:1\nFROM busybox:1\n", nil, []string{"example.com/other:1", "syntax"}},
		{"no network", "FROM busybox:1\nRUN wget -T 5 http://10.0.2.2/\n", nil, []string{"Dockerfile:2: ", "exit code: 1"}},
		{"memory", "FROM busybox:1\nRUN dd if=/dev/zero of=/dev/null bs=400M count=1\n", []string{"--scratch-mb", "0", "--memory-mb", "320"},
			[]string{"the build machine ran out of memory", "give the solve more memory"}},
		{"scratch", "FROM busybox:1\nRUN dd if=/dev/zero of=/big bs=1M count=500\n", []string{"--scratch-mb", "64", "--memory-mb", "320"},
			[]string{"Dockerfile:2: ", "scratch"}},
		{"time", "FROM busybox:1\nRUN sleep 1000\n", []string{"--timeout", "25s"}, []string{"time limit of 25s", "RUN sleep 1000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, err := k.run(t, k.job(t, c.dockerfile, nil, c.args...))
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
				t.Errorf("the solver ended with %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in\n%s", want, said)
				}
			}
		})
	}
}

// TestKilled ends the monitor, and the solver, in the middle.
func TestKilled(t *testing.T) {
	k := newKit(t)
	for name, stop := range map[string]func(solver *os.Process) error{
		"monitor": func(p *os.Process) error { return syscall.Kill(child(t, p.Pid), syscall.SIGKILL) },
		"solver":  func(p *os.Process) error { return p.Signal(os.Interrupt) },
	} {
		t.Run(name, func(t *testing.T) {
			j := k.job(t, "FROM busybox:1\nRUN echo going && sleep 1000\n", nil)
			log := filepath.Join(j.dir, "log")
			out, err := os.Create(log)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			cmd := exec.Command(k.solver, j.args...)
			cmd.Stderr = out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, log, "| going")
			monitor := child(t, cmd.Process.Pid)
			if err := stop(cmd.Process); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("no error")
			}
			said, _ := os.ReadFile(log)
			if name == "monitor" && !strings.Contains(string(said), "it was at: [1/2] RUN echo") {
				t.Errorf("it said\n%s", said)
			}
			if name == "solver" && !strings.Contains(string(said), "interrupted, and ") {
				t.Errorf("it said\n%s", said)
			}
			if syscall.Kill(monitor, 0) == nil {
				t.Errorf("QEMU still runs: process %d", monitor)
			}
			j.checkLeft(t, false)
		})
	}
}

// waitFor waits until text is in the file.
func waitFor(t *testing.T, file, text string) {
	t.Helper()
	for range 600 {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), text) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	b, _ := os.ReadFile(file)
	t.Fatalf("%q never came:\n%s", text, b)
}

// child is the process that another one started.
func child(t *testing.T, parent int) int {
	t.Helper()
	list, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		b, _ := os.ReadFile(file)
		var pid int
		if _, err := fmt.Sscan(string(b), &pid); err == nil {
			return pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}

// TestNoMachine has what is wrong before the machine starts, or keeps it from starting.
func TestNoMachine(t *testing.T) {
	k := newKit(t)
	notKernel := filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(notKernel, make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no kernel", []string{"--kernel", "/nothing"}, "kernel: stat /nothing: no such file"},
		{"no QEMU", []string{"--qemu", "/nothing"}, "/nothing"},
		{"KVM alone", []string{"--vmm", "cloud-hypervisor"}, "cloud-hypervisor"},
		{"no kernel in it", []string{"--kernel", notKernel}, "the build machine"},
		{"another initramfs", []string{"--initramfs", notKernel, "--timeout", "60s"}, "the build machine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, err := k.run(t, k.job(t, "FROM busybox:1\n", nil, c.args...))
			if err == nil || !strings.Contains(said, c.want) {
				t.Errorf("%v, %q is not in\n%s", err, c.want, said)
			}
		})
	}
}
