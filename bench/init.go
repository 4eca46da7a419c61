package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fledge-build/fledge/e2e/initramfs"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

//go:embed guest/init.c guest/stamp.c
var guestSources embed.FS

// initTask is an init to measure.
type initTask struct {
	name    string
	size    int // bytes of the program
	entries []initramfs.Entry
	archive string // of the entries
	took    []time.Duration
}

// stamp is what the guest's last program prints.
type stamp struct {
	took   time.Duration // from the machine's first instruction to the first one of the program that the init becomes
	mounts int
}

// measureInits compares the time that inits of an initramfs take.
//
// The kernel's first program is guest/stamp.c. It reads the clock and becomes the init, which becomes stamp.c again, which
// reads the clock first of all. So the figure has all that an init costs: the kernel's loading of its program, its start,
// its work, and the exec of the next. Every run is a machine of its own, as all is cold in a boot.
func measureInits(o options, out, progress io.Writer) (err error) {
	d, err := os.MkdirTemp("", "fledge-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d)) }()
	kernel := os.Getenv("FLEDGE_KERNEL_BZIMAGE")
	if kernel == "" {
		return errors.New("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it (./bazelw --fledge-setup prints one)")
	}
	program, err := qemu.Find(runtime.GOARCH, os.Getenv("FLEDGE_QEMU"))
	if err != nil {
		return err
	}
	tasks, err := initTasks(folder(d))
	if err != nil || tasks == nil {
		return err
	}
	accel := "KVM"
	driver := qemu.Driver{Program: program, Note: func(string) { accel = "TCG" }}
	if runtime.GOARCH == "amd64" {
		driver.Type = "microvm"
	}
	mounts := 0
	for round := range o.rounds {
		for i := range tasks {
			t := &tasks[i]
			s, err := t.run(driver, kernel)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			if mounts == 0 {
				mounts = s.mounts
			}
			if s.mounts != mounts {
				return fmt.Errorf("%s: %d mounts, %s made %d", t.name, s.mounts, tasks[0].name, mounts)
			}
			t.took = append(t.took, s.took)
			fmt.Fprintf(progress, "round %d: %-40s %8.3f ms\n", round+1, t.name, milliseconds(s.took))
		}
	}
	fmt.Fprintf(out, "%s.\n\n", time.Now().UTC().Format("2006-01-02"))
	writeInits(out, fmt.Sprintf("%d boots in QEMU (%s, 1 processor)", o.rounds, accel), tasks)
	if !canIsolate() {
		fmt.Fprintln(os.Stderr, "bench: skipped, running inits in namespaces needs Linux and root")
		return nil
	}
	if err := measureNatively(tasks, folder(d), nativeRounds*o.rounds); err != nil {
		return err
	}
	writeInits(out, fmt.Sprintf("%d runs in namespaces, natively", nativeRounds*o.rounds), tasks)
	return nil
}

// initTasks builds the programs and archives. Without a C compiler there is nothing to compare with, and no task.
func initTasks(d folder) ([]initTask, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: skipped, the init to compare with is in C:", err)
		return nil, nil
	}
	clock, err := compile(d, cc, "stamp.c", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-tree-loop-distribute-patterns")
	if err != nil {
		return nil, err
	}
	least, err := compile(d, cc, "init.c", "-D_GNU_SOURCE")
	if err != nil {
		return nil, err
	}
	ours, err := toolrun.BuildStatic(string(d), "./tools/init", runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	common := slices.Concat(initramfs.Devices(), []initramfs.Entry{
		initramfs.Dir("proc", 0o755), initramfs.Dir("sys", 0o755), initramfs.Dir("run", 0o755), initramfs.Dir("tmp", 0o1777),
		initramfs.Dir("bin", 0o755), initramfs.File("bin/kestrel", 0o755, clock), initramfs.File("init", 0o755, clock),
	})
	conf := bootconf.Config{Exec: "/bin/kestrel"}
	list := []initTask{
		{name: "Fledge's init", size: len(ours), archive: d.file("fledge.cpio"),
			entries: slices.Concat(common, initramfs.Init("init2", ours, conf))},
		{name: "the least in C, cc -static -Os", size: len(least), archive: d.file("c.cpio"),
			entries: slices.Concat(common, []initramfs.Entry{initramfs.File("init2", 0o755, least)})},
	}
	for _, t := range list {
		if err := initramfs.Write(t.archive, t.entries); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// compile makes a static program of one of the guest's sources.
func compile(d folder, cc, source string, flags ...string) (string, error) {
	code, err := guestSources.ReadFile("guest/" + source)
	if err != nil {
		return "", err
	}
	file, out := d.file("%s", source), d.file("%s", strings.TrimSuffix(source, ".c"))
	if err := os.WriteFile(file, code, 0o644); err != nil {
		return "", err
	}
	args := append([]string{"-static", "-Os", "-s", "-o", out, file}, flags...)
	if text, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", cc, strings.Join(args, " "), err, text)
	}
	b, err := os.ReadFile(out)
	return string(b), err
}

// run boots the init once.
func (t initTask) run(driver qemu.Driver, kernel string) (stamp, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var console bytes.Buffer
	m, err := driver.Start(ctx, vmm.Spec{
		Arch: runtime.GOARCH, Kernel: kernel, Initramfs: t.archive, MemoryMB: 256, CPUs: 1, Cmdline: "quiet", Console: &console,
	})
	if err != nil {
		return stamp{}, err
	}
	defer m.Stop()
	if err := m.Wait(); err != nil {
		return stamp{}, err
	}
	return readStamp(console.String())
}

// readStamp finds "stamp: NANOSECONDS MOUNTS" on a console.
func readStamp(console string) (stamp, error) {
	for line := range strings.Lines(console) {
		var s stamp
		if _, err := fmt.Sscanf(line, "stamp: %d %d", &s.took, &s.mounts); err == nil {
			return s, nil
		}
	}
	return stamp{}, fmt.Errorf("the guest told no time:\n%s", console)
}

// writeInits prints medians, and what the first init takes more than the second.
func writeInits(w io.Writer, where string, tasks []initTask) {
	fmt.Fprintf(w, "### Init of an initramfs, %s\n\n", where)
	fmt.Fprint(w, "| init | program, bytes | median, ms | least, ms |\n|---|---|---|---|\n")
	var medians []time.Duration
	for _, t := range tasks {
		m := middle(t.took)
		medians = append(medians, m)
		fmt.Fprintf(w, "| %s | %d | %.3f | %.3f |\n", t.name, t.size, milliseconds(m), milliseconds(slices.Min(t.took)))
	}
	fmt.Fprintf(w, "\nDifference %+.3f ms, ratio %.3f.\n\n",
		milliseconds(medians[0]-medians[1]), ratio(medians[0], medians[1]))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
