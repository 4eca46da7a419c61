package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStop(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	// A wrapper that waits for the emulator: both must go.
	d, spec, _ := fake(t, "sleep 600 & echo $! >"+pidFile+"; echo hello; wait")
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	m.Stop()
	m.Stop()
	if err := m.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	// Whoever adopted it takes a moment to reap it.
	for end := time.Now().Add(time.Minute); syscall.Kill(child, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			syscall.Kill(child, syscall.SIGKILL)
			t.Fatal("a child of the wrapper outlived Stop")
		}
	}
}
