package fill

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/fill/filltest"
	"github.com/fledge-build/fledge/internal/fill/wire"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/vmm"
)

// fakeDriver plays the machine: no guest runs, and what one would report is made up. e2e/filled runs real ones.
type fakeDriver struct {
	guest func(ctx context.Context, attempt int, spec vmm.Spec) error
	specs []vmm.Spec
}

func (d *fakeDriver) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	d.specs = append(d.specs, spec)
	m := &fakeMachine{done: make(chan struct{})}
	attempt := len(d.specs)
	go func() {
		m.err = d.guest(ctx, attempt, spec)
		close(m.done)
	}()
	return m, nil
}

type fakeMachine struct {
	done chan struct{}
	err  error
}

func (m *fakeMachine) Wait() error       { <-m.done; return m.err }
func (m *fakeMachine) Stop()             { <-m.done }
func (m *fakeMachine) Addr(int) string   { return "" }
func (m *fakeMachine) Command() []string { return nil }

// fakeMkfs is a program that puts the smallest superblock into a file that the fixer takes, and no file system.
func fakeMkfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b := make([]byte, xfsSector)
	copy(b, xfsMagic)
	be := binary.BigEndian
	be.PutUint32(b[4:], xfsBlock)
	be.PutUint32(b[84:], 100) // blocks of a group
	be.PutUint64(b[48:], 4)   // the log's first
	be.PutUint32(b[96:], 2)   // its blocks
	be.PutUint16(b[102:], xfsSector)
	be.PutUint16(b[104:], xfsSector)
	b[123], b[124] = 3, 7
	super, program := filepath.Join(dir, "super"), filepath.Join(dir, "mkfs.xfs")
	script := "#!/bin/sh\nfor file; do :; done\necho \"$@\" >" + dir + "/arguments\nexec dd if=" + super + " of=\"$file\" conv=notrunc status=none\n"
	if err := os.WriteFile(super, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

func options(t *testing.T, d vmm.Driver) Options {
	t.Helper()
	return Options{
		Kind: XFS, Mkfs: fakeMkfs(t), Source: filltest.Source(t, imagetest.Tar(t, imagetest.Regular("a", "content"))),
		SizeBuffer: 5, TempDir: t.TempDir(), Machine: Machine{Driver: d, Arch: "amd64", Kernel: "bzImage", Initramfs: "fill.cpio.gz"},
	}
}

// report is a guest that reports, and powers off.
func report(console string, reports ...wire.Report) func(context.Context, int, vmm.Spec) error {
	return func(_ context.Context, _ int, spec vmm.Spec) error {
		io.WriteString(spec.Console, console)
		for _, r := range reports {
			if err := r.Write(spec.Progress); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestFill(t *testing.T) {
	progress := []string{}
	done := wire.Report{Entries: 1, Bytes: 7, Free: 99, Done: true, Dropped: &wire.Dropped{Count: 2, Name: "user.a", Path: `"/a"`}}
	d := &fakeDriver{guest: report("booting\r\n", wire.Report{Entries: 1}, done)}
	o := options(t, d)
	o.Progress = func(entries, bytes int64) { progress = append(progress, fmt.Sprint(entries, " ", bytes)) }
	var out bytes.Buffer
	stats, err := Fill(t.Context(), &out, o)
	if err != nil {
		t.Fatal(err)
	}
	want := Stats{Size: 300 << 20, Free: 99, Entries: 1, Bytes: 7, Dropped: *done.Dropped}
	if stats != want || out.Len() != 300<<20 {
		t.Errorf("%+v, %d bytes, want %+v", stats, out.Len(), want)
	}
	if !slices.Equal(progress, []string{"1 0", "1 7"}) {
		t.Errorf("progress %q", progress)
	}
	spec := d.specs[0]
	if spec.MemoryMB != usualMemory || spec.CPUs != 1 || spec.Network || len(spec.Disks) != 2 || spec.Disks[0].Writable || !spec.Disks[1].Writable {
		t.Errorf("machine %+v", spec)
	}
	if left, _ := os.ReadDir(o.TempDir); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if lines := Warnings(XFS, stats); len(lines) != 1 || !strings.Contains(lines[0], `dropped 2 extended attributes that xfs does not take, the first "user.a" of "/a"`) {
		t.Errorf("warnings %q", lines)
	}
	arguments, err := os.ReadFile(filepath.Join(filepath.Dir(o.Mkfs), "arguments"))
	if err != nil || !strings.Contains(string(arguments), "uuid=") {
		t.Errorf("mkfs was given %q, %v", arguments, err)
	}
}

// A file system that is too small is made once more, larger.
func TestFull(t *testing.T) {
	full := wire.Report{Failure: `"/a": copy the data: no space left on device`, Full: true}
	sizes := []int64{}
	d := &fakeDriver{guest: func(ctx context.Context, attempt int, spec vmm.Spec) error {
		info, err := os.Stat(spec.Disks[1].File)
		if err != nil {
			return err
		}
		sizes = append(sizes, info.Size()>>20)
		last := full
		if attempt == 2 {
			last = wire.Report{Done: true}
		}
		return report("", last)(ctx, attempt, spec)
	}}
	o := options(t, d)
	stats, err := Fill(t.Context(), io.Discard, o)
	if err != nil || stats.Size != 450<<20 || !slices.Equal(sizes, []int64{300, 450}) {
		t.Errorf("%+v, %v, sizes %v MiB", stats, err, sizes)
	}
	d.guest = report("", full)
	_, err = Fill(t.Context(), io.Discard, o)
	want := `no space is left: "/a": copy the data: no space left on device; a size buffer larger than 5 MiB makes the file system larger`
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), o.Source) {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestFailures(t *testing.T) {
	hang := func(ctx context.Context, _ int, spec vmm.Spec) error {
		wire.Report{Entries: 3, Bytes: 4}.Write(spec.Progress)
		<-ctx.Done()
		return ctx.Err()
	}
	for _, tt := range []struct {
		name, want string
		guest      func(context.Context, int, vmm.Spec) error
	}{
		{"failure", `the guest: "/a": set the owner: input/output error`, report("", wire.Report{Failure: `"/a": set the owner: input/output error`})},
		{"silence", "the machine never started its work: is the kernel bzImage one with virtio", report("")},
		{"noise", "the machine never started its work", func(_ context.Context, _ int, s vmm.Spec) error {
			_, err := s.Progress.Write(bytes.Repeat([]byte("{\"done\": no\n\x00\n"), 5000))
			return err
		}},
		{"in the middle", "the machine ended in the middle of its work, after 5 names", report("", wire.Report{Entries: 5})},
		{"panic", "the machine's kernel gave up: Kernel panic - not syncing: Fatal exception", report("[1.0] Kernel panic - not syncing: Fatal exception\n")},
		{"memory", "the machine's memory of 512 MiB is too small: Kernel panic - not", report("Out of memory: Killed\nKernel panic - not syncing\n")},
		{"monitor", "the machine: QEMU failed", func(context.Context, int, vmm.Spec) error { return errors.New("QEMU failed") }},
		{"limit", "the time limit of 200ms is reached: raise it, or run where KVM works; 3 names and 4 bytes had been copied", hang},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, &fakeDriver{guest: tt.guest})
			if tt.name == "limit" {
				o.Machine.Limit = 200 * time.Millisecond
			}
			var out bytes.Buffer
			_, err := Fill(t.Context(), &out, o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "fill xfs with the tree of "+o.Source) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if left, _ := os.ReadDir(o.TempDir); out.Len() > 0 || len(left) > 0 {
				t.Errorf("%d bytes written, %v left over", out.Len(), left)
			}
		})
	}
}

func TestBadInputs(t *testing.T) {
	for _, tt := range []struct {
		want   string
		change func(o *Options)
	}{
		{`file system "ext4": what a machine fills is xfs or btrfs`, func(o *Options) { o.Kind = "ext4" }},
		{"size buffer of -1 MiB: use 0 to ", func(o *Options) { o.SizeBuffer = -1 }},
		{"it is no ext4 image, which the tree is taken from", func(o *Options) { o.Source = o.Mkfs }},
		{"no such file", func(o *Options) { o.Source = "/none" }},
		{"/bin/false -q -b size=4096", func(o *Options) { o.Mkfs = "/bin/false" }},
		{"/bin/true: it did not make an xfs with blocks of 4096 bytes", func(o *Options) { o.Mkfs = "/bin/true" }},
		{"/bin/true: it did not make a btrfs with nodes of 16384 bytes", func(o *Options) { o.Mkfs, o.Kind = "/bin/true", Btrfs }},
	} {
		o := options(t, &fakeDriver{guest: report("")})
		tt.change(&o)
		if _, err := Fill(t.Context(), io.Discard, o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Fill(ctx, io.Discard, options(t, &fakeDriver{guest: report("")})); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
}

func TestFindMkfs(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "mkfs.xfs")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer func(folders []string) { systemFolders = folders }(systemFolders)
	systemFolders = []string{filepath.Join(dir, "none")}
	t.Setenv("PATH", dir)
	if got, err := FindMkfs(XFS, ""); got != program || err != nil {
		t.Errorf("on PATH: %q, %v", got, err)
	}
	t.Setenv("PATH", "/none")
	for kind, want := range map[string]string{
		XFS:   "no mkfs.xfs on PATH or in " + systemFolders[0] + ": install xfsprogs, or set FLEDGE_MKFS_XFS to the program's path",
		Btrfs: "no mkfs.btrfs on PATH or in " + systemFolders[0] + ": install btrfs-progs, or set FLEDGE_MKFS_BTRFS to the program's path",
	} {
		if _, err := FindMkfs(kind, ""); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	systemFolders = []string{dir}
	if got, err := FindMkfs(XFS, ""); got != program || err != nil {
		t.Errorf("in a folder of system programs: %q, %v", got, err)
	}
	if got, err := FindMkfs(Btrfs, program); got != program || err != nil {
		t.Errorf("given: %q, %v", got, err)
	}
	if _, err := FindMkfs(Btrfs, "/none/x"); err == nil || !strings.Contains(err.Error(), "it should be mkfs.btrfs, of the package btrfs-progs") {
		t.Errorf("given, but not there: %v", err)
	}
}
