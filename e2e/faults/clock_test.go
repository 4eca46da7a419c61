package faults

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/agent/agenttest"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// testFileTimes gives everything that is there the times that it has when the clock was moved between builds.
func (k *kit) testFileTimes(t *testing.T) {
	o := k.fledgeOperation(squashfs, 0)
	want, _ := k.undisturbed(t, o)
	dir := o.folder(t)
	k.must(t, o.args(dir))
	for _, year := range []int{1970, 1999, 2037, 2039, 2400} {
		at := time.Date(year, 2, 3, 4, 5, 6, 0, time.UTC)
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chtimes(path, at, at)
		})
		if err != nil {
			t.Fatal(err)
		}
		k.must(t, o.args(dir))
		checkAll(t, dir, want)
	}
}

// clockLimit is enough on a busy host; on a quiet one it takes a quarter of a minute.
const clockLimit = 10 * time.Minute

// testClock runs the programs in a machine whose clock is moved by decades, between runs and every few milliseconds of one: a clock of
// its own is what no namespace gives, and faketime only to programs of libc. The bytes are those of this machine.
func (k *kit) testClock(t *testing.T) {
	kernel := kernelOf(t)
	if _, err := qemu.Find("amd64", os.Getenv(qemu.Variable("amd64"))); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "fledge.toml"), strings.NewReplacer("IMAGE", "oci:layout", "FILESYSTEM", squashfs).Replace(fledgeTOML))
	writeFile(t, filepath.Join(dir, "manifest.toml"), manifestTOML)
	for from, to := range map[string]string{k.packer: "packer", k.fledge: "fledge", k.layers[1]: "layer"} {
		copyProgram(t, from, filepath.Join(dir, to))
	}
	writeFile(t, filepath.Join(dir, "kestrel"), string(agenttest.Program("amd64", 50_000))) // the machine is emulated, and slow
	if err := layers.WriteLayout(filepath.Join(dir, "layout"), layers.Gzip, ocispec.ImageConfig{}, appLayer); err != nil {
		t.Fatal(err)
	}
	want := k.madeHere(t, dir)
	console := harness.BootWithin(t, clockLimit, vmm.Spec{
		Arch: "amd64", Kernel: kernel, Initramfs: k.clockInitramfs(t, dir), MemoryMB: 1024, CPUs: 1, Cmdline: "quiet",
	})
	for _, clock := range []string{"ahead", "back", "jumping"} {
		if diff := cmp.Diff(want, harness.Said(console, "made: "+clock+": ")); diff != "" {
			t.Errorf("clock %s (-here +there):\n%s", clock, diff)
		}
	}
	if jumps := harness.Said(console, "jumps: "); len(jumps) != 1 || len(jumps[0]) < 2 {
		t.Errorf("the clock jumped %q times", jumps)
	}
	if t.Failed() {
		t.Logf("console:\n%s", strings.Join(console, "\n"))
	}
}

// madeHere does what the guest does, and gives the lines that it is to print.
func (k *kit) madeHere(t *testing.T, dir string) (lines []string) {
	t.Helper()
	out := t.TempDir()
	at := func(name string) string { return filepath.Join(out, name) }
	k.must(t, []string{k.packer, "pack", "--level", "3", "--layer", k.layers[1], "--out", at("layer.pack")})
	k.must(t, []string{k.packer, "rootfs", "--level", "3", "--pack", at("layer.pack"), "--out", at("layer.img")})
	k.must(t, []string{k.fledge, "build", "--config", filepath.Join(dir, "fledge.toml"), "--arch", "amd64",
		"--cache", t.TempDir(), "--output", at("app")})
	if err := os.Remove(filepath.Join(dir, "fledge.lock")); err != nil {
		t.Fatal(err)
	}
	for name, digest := range contents(t, out) {
		if digest != "" {
			lines = append(lines, name+" "+digest)
		}
	}
	slices.Sort(lines)
	return lines
}

// clockInitramfs has the guest and the files of a folder.
func (k *kit) clockInitramfs(t *testing.T, dir string) string {
	t.Helper()
	if err := toolrun.Build(".", "./e2e/faults/guest", filepath.Join(dir, "init"), "GOOS=linux", "GOARCH=amd64"); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(t.TempDir(), "guest")
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(base+".tar", layer.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	k.must(t, []string{k.packer, "pack", "--for", "initramfs", "--level", "1", "--layer", base + ".tar", "--out", base + ".pack"})
	k.must(t, []string{k.packer, "initramfs", "--level", "1", "--pack", base + ".pack", "--out", base + ".cpio.gz"})
	return base + ".cpio.gz"
}
