package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fledge-build/fledge/e2e/bazel"
)

// build is what a build took.
type build struct {
	took    time.Duration
	actions map[string]int // that ran, by mnemonic
	output  int64          // bytes of what they made, by the execution log
	written int64          // bytes that the server and the processes it ran wrote to files
	server  int64          // bytes, the most that Bazel's server had in memory
	tool    int64          // bytes, the most that one packer had
}

// sampling is how often the memory of packers is looked at. What is read is the most that each had so far.
const sampling = 20 * time.Millisecond

// measureBuild builds targets of a workspace whose server runs. It reads Linux's /proc.
func measureBuild(w *bazel.Workspace, targets ...string) (b build, err error) {
	text, err := os.ReadFile(filepath.Join(w.OutputBase, "server/server.pid.txt"))
	if err != nil {
		return b, fmt.Errorf("no Bazel server runs: %w", err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return b, err
	}
	syscall.Sync() // what is still to be written belongs to what was before
	// 5 sets VmHWM, the most memory so far, to what it is now: proc_pid_clear_refs(5).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return b, err
	}
	before, err := writtenBy(pid)
	if err != nil {
		return b, err
	}
	quit, peak := make(chan bool), make(chan int64)
	go watchTools(pid, quit, peak)
	spawns, took, err := w.Build(targets...)
	close(quit)
	b.tool = <-peak
	if err != nil {
		return b, err
	}
	after, err := writtenBy(pid)
	if err != nil {
		return b, err
	}
	b.took, b.written, b.server, b.actions = took, after-before, mostMemory(pid), map[string]int{}
	for _, s := range spawns {
		if s.CacheHit {
			return b, fmt.Errorf("%s came from a cache, which must be empty", s)
		}
		if strings.HasPrefix(s.Mnemonic, "FledgeGo") {
			return b, fmt.Errorf("%s is part of the measurement, which builds of Fledge's tools must not be", s)
		}
		b.actions[s.Mnemonic]++
		for _, o := range s.Outputs {
			b.output += o.Digest.Size
		}
	}
	return b, nil
}

// writtenBy is how many bytes a process, and those whose end it saw, wrote to files: proc_pid_io(5).
func writtenBy(pid int) (int64, error) {
	file := fmt.Sprintf("/proc/%d/io", pid)
	n, err := strconv.ParseInt(procField(file, "write_bytes"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}

// mostMemory is the most memory that a process has had, in bytes, or 0 if it has ended.
func mostMemory(pid int) int64 {
	var kilobytes int64
	fmt.Sscanf(procField(fmt.Sprintf("/proc/%d/status", pid), "VmHWM"), "%d kB", &kilobytes)
	return kilobytes << 10
}

// watchTools finds the packers that run below a process until quit is closed, and then sends the most memory that one had.
func watchTools(server int, quit <-chan bool, peak chan<- int64) {
	known := processes() // none of them becomes a packer
	most := int64(0)
	for {
		for _, pid := range processes() {
			if _, old := slices.BinarySearch(known, pid); !old && isPackerBelow(pid, server) {
				most = max(most, mostMemory(pid))
			}
		}
		select {
		case <-quit:
			peak <- most
			return
		case <-time.After(sampling):
		}
	}
}

// processes lists all, sorted.
func processes() []int {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	var list []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

func isPackerBelow(pid, server int) bool {
	name, parent, err := nameAndParent(pid)
	if err != nil || name != "packer" {
		return false
	}
	for range 8 { // the sandbox has two processes between
		if parent == server {
			return true
		}
		if _, parent, err = nameAndParent(parent); err != nil {
			return false
		}
	}
	return false
}

// nameAndParent reads a process's "PID (NAME) STATE PARENT": proc_pid_stat(5).
func nameAndParent(pid int) (name string, parent int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	_, rest, _ := strings.Cut(string(text), "(")
	name, rest, _ = strings.Cut(rest, ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return "", 0, errors.New("no parent")
	}
	parent, err = strconv.Atoi(fields[1])
	return name, parent, err
}
