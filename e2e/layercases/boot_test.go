package layercases

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	newc "github.com/fledge-build/fledge/e2e/initramfs"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// TestKernelUnpacks has one machine unpack the initramfs of every case, each below a folder of its own.
func TestKernelUnpacks(t *testing.T) {
	harness.NeedSlow(t, "boots a machine")
	kernel := os.Getenv("FLEDGE_KERNEL_BZIMAGE")
	if kernel == "" || runtime.GOARCH != "amd64" {
		t.Skip("needs a kernel for amd64: set FLEDGE_KERNEL_BZIMAGE to it")
	}
	if _, err := qemu.Find(runtime.GOARCH, os.Getenv("FLEDGE_QEMU")); err != nil {
		t.Skip(err)
	}
	guest, err := toolrun.BuildStatic(t.TempDir(), "./e2e/unpack/guest", runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "initramfs")
	if err := newc.Write(image, append(newc.Devices(), newc.File("init", 0o755, string(guest)))); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases() {
		if c.limit["initramfs"] == "" {
			one, err := os.ReadFile(harness.MakeImage(t, initramfs.settings, blobs(t, writeLayout(t, layers.None, c.layers))...))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, below(t, folder(i), one, readGolden(t, c.name))...)
		}
	}
	if err := os.WriteFile(image, all, 0o644); err != nil {
		t.Fatal(err)
	}
	console := harness.Boot(t, vmm.Spec{
		Arch: runtime.GOARCH, Kernel: kernel, Initramfs: image, MemoryMB: 512, CPUs: 1, Cmdline: "quiet loglevel=3",
	})
	if !slices.Contains(console, "guest: done <nil>") {
		t.Fatalf("the guest did not end well:\n%s", strings.Join(console[max(0, len(console)-20):], "\n"))
	}
	said := harness.Said(console, "guest: ")
	for i, c := range cases() {
		if c.limit["initramfs"] == "" {
			t.Run(c.name, func(t *testing.T) {
				imagetest.Compare(t, "what the kernel unpacks", initramfs.of(readGolden(t, c.name)), above(folder(i), said))
			})
		}
	}
}

func folder(i int) string { return fmt.Sprintf("case%d", i) }

// below puts the entries of a newc archive, without those of Fledge's own folders, below a folder.
func below(t *testing.T, folder string, archive []byte, golden []string) []byte {
	t.Helper()
	const head, sizeAt, nameAt = 110, 54, 94 // buffer-format.rst of the kernel
	own := map[string]bool{"TRAILER!!!": true}
	for _, line := range golden {
		own[pathOf(line)] = true
	}
	number := func(at int) int {
		n, err := strconv.ParseUint(string(archive[at:at+8]), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	up := func(n int) int { return (n + 3) &^ 3 }
	var out bytes.Buffer
	for len(archive) > 0 {
		size, nameSize := number(sizeAt), number(nameAt)
		name := string(archive[head : head+nameSize-1])
		data := up(head + nameSize)
		if own[name] {
			to := filepath.Join(folder, name)
			if name == "TRAILER!!!" {
				to = name
			}
			fmt.Fprintf(&out, "%s%08X%s%s\x00", archive[:nameAt], len(to)+1, archive[nameAt+8:head], to)
			out.Write(make([]byte, up(out.Len())-out.Len()))
			out.Write(archive[data:up(data+size)])
		}
		archive = archive[min(up(data+size), len(archive)):]
	}
	return out.Bytes()
}

// above are the lines about what is in the folder, as if it were the root.
func above(folder string, lines []string) (out []string) {
	for _, line := range lines {
		switch rest, ok := strings.CutPrefix(line, `"`+folder); {
		case !ok:
		case strings.HasPrefix(rest, `" `):
			out = append(out, `"."`+rest[1:])
		case strings.HasPrefix(rest, "/"):
			out = append(out, strings.ReplaceAll(line, `"`+folder+"/", `"`))
		}
	}
	return out
}
