package harness

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// bootLimit is enough for an emulated machine on a busy host; a quiet one boots in three seconds.
const bootLimit = 2 * time.Minute

// Boot runs a machine in QEMU until it powers off and returns the lines of its console. The emulator is FLEDGE_QEMU, or
// FLEDGE_QEMU_ARM64 for a guest of arm64, or the one on PATH.
func Boot(t testing.TB, spec vmm.Spec) []string {
	t.Helper()
	return BootWithin(t, bootLimit, spec)
}

// BootWithin is Boot for a guest that has more to do than to boot, with the longest that it may run.
func BootWithin(t testing.TB, limit time.Duration, spec vmm.Spec) []string {
	t.Helper()
	program, err := qemu.Find(spec.Arch, os.Getenv(qemu.Variable(spec.Arch)))
	if err != nil {
		t.Fatal(err)
	}
	driver := qemu.Driver{Program: program}
	if spec.Arch == "amd64" {
		driver.Type = "microvm" // the quickest to boot
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var console bytes.Buffer
	spec.Console = &console
	start := time.Now()
	m, err := driver.Start(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	err = m.Wait()
	t.Logf("off after %.1f s", time.Since(start).Seconds())
	text := strings.ReplaceAll(console.String(), "\r", "")
	if err != nil || strings.Contains(text, "Kernel panic") {
		t.Fatalf("the machine did not power off: %v\n%s", err, text)
	}
	return strings.Split(text, "\n")
}

// Said is what the lines that begin with prefix have after it.
func Said(console []string, prefix string) []string {
	var found []string
	for _, line := range console {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			found = append(found, rest)
		}
	}
	return found
}

// Image packs a layer, a tar, and links an image of it for a disk; args are further flags of packer rootfs.
func Image(t testing.TB, filesystem string, layer []byte, args ...string) string {
	t.Helper()
	base := filepath.Join(t.TempDir(), filesystem)
	if err := os.WriteFile(base+".tar", layer, 0o644); err != nil {
		t.Fatal(err)
	}
	MustPacker(t, "pack", "--for", filesystem, "--layer", base+".tar", "--out", base+".pack")
	MustPacker(t, append([]string{"rootfs", "--filesystem", filesystem, "--pack", base + ".pack", "--out", base + ".img"}, args...)...)
	return base + ".img"
}
