package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
)

// TestSolveFlags: those about a solve are an error where there is none.
func TestSolveFlags(t *testing.T) {
	recipe := filepath.Join(t.TempDir(), "fledge.toml")
	if err := os.WriteFile(recipe, []byte("version = \"1\"\nstrategy = \"initramfs\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--network", "--no-cache", "--vmm=qemu", "--kernel=k", "--kernel-modules=m"} {
		_, _, err := fledge(t, "build", "--config", recipe, flag)
		if err == nil || cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), "fledge.toml has no Dockerfile") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}
