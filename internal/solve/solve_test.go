package solve

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// fakeMachine is a build machine that a function plays: the real one is tried in e2e/solve.
type fakeMachine struct {
	ctx  context.Context
	done chan error
}

func (m *fakeMachine) Wait() error       { return <-m.done }
func (m *fakeMachine) Stop()             {}
func (m *fakeMachine) Addr(int) string   { return "" }
func (m *fakeMachine) Command() []string { return nil }

// fakeDriver starts fake machines.
type fakeDriver func(ctx context.Context, spec vmm.Spec) error

func (d fakeDriver) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	m := &fakeMachine{ctx, make(chan error, 1)}
	go func() { m.done <- d(ctx, spec) }()
	return m, nil
}

// testOptions is a solve of one file with a fake machine.
func testOptions(t *testing.T, guest fakeDriver) Options {
	t.Helper()
	dir := t.TempDir()
	dockerfile := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM scratch\nCOPY a /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec, err := mapping.ReadSpec(strings.NewReader(fmt.Sprintf(
		"{\"src\": %q, \"dest\": \"/dockerfile/Dockerfile\", \"executable\": false}\n"+
			"{\"src\": %[1]q, \"dest\": \"/context/bin/a\", \"mode\": \"0755\"}", dockerfile)))
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Job:   wire.Job{Dockerfile: "Dockerfile", Arch: "amd64", Epoch: 7},
		Files: spec,
		Machine: Machine{
			Driver: guest, Kernel: "bzImage", Initramfs: "initramfs", MemoryMB: 128, CPUs: 1, OutputMB: 64,
		},
	}
}

// finish does what a guest does at the end.
func finish(spec vmm.Spec, payload []byte, failure *wire.Failure) error {
	f, err := os.OpenFile(spec.Disks[1].File, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	nonce, err := wire.Begin(f)
	if err != nil {
		return err
	}
	res := wire.Result{Failure: failure}
	if failure == nil {
		w := wire.NewPayloadWriter(f, wire.PayloadOffset+16<<20)
		if _, err := w.Write(payload); err != nil {
			return err
		}
		p := w.Payload()
		res.Payload = &p
	}
	return wire.Finish(f, nonce, res)
}

// ociArchive is an image of one layer, as BuildKit exports it; change may spoil it.
func ociArchive(t *testing.T, change func(files map[string][]byte)) []byte {
	t.Helper()
	files := map[string][]byte{ocispec.ImageLayoutFile: []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	blob := func(kind string, v any) ocispec.Descriptor {
		b, ok := v.([]byte)
		if !ok {
			var err error
			if b, err = json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		}
		st := fromMemory(b)
		files["blobs/"+strings.Replace(st.digest, ":", "/", 1)] = b
		return descriptor(kind, st)
	}
	layer := []byte("a layer, which nobody unpacks here")
	config := blob(ocispec.MediaTypeImageConfig, map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{fromMemory(layer).digest}},
	})
	manifest := blob(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config,
		"layers": []any{blob(ocispec.MediaTypeImageLayer, layer)},
	})
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}})
	if err != nil {
		t.Fatal(err)
	}
	files[ocispec.ImageIndexFile] = index
	if change != nil {
		change(files)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))}
		if link, ok := strings.CutPrefix(string(files[name]), "symlink "); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write(files[name])
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func descriptor(kind string, s source) ocispec.Descriptor {
	var d ocispec.Descriptor
	raw := fmt.Sprintf(`{"mediaType": %q, "digest": %q, "size": %d}`, kind, s.digest, s.size)
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		panic(err)
	}
	return d
}

func TestSolve(t *testing.T) {
	archive := ociArchive(t, nil)
	var input []string
	var events []string
	o := testOptions(t, func(_ context.Context, spec vmm.Spec) error {
		f, err := os.Open(spec.Disks[0].File)
		if err != nil {
			return err
		}
		defer f.Close()
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if err != nil {
				break
			}
			input = append(input, fmt.Sprintf("%s %o %d", h.Name, h.Mode, h.ModTime.Unix()))
		}
		line := wire.Event{Kind: wire.EventStart, Step: 1, Text: "[1/1] COPY a /"}.Encode()
		spec.Progress.Write(append([]byte("noise\r\n"), line[:9]...))
		spec.Progress.Write(line[9:])
		return finish(spec, archive, nil)
	})
	o.Event = func(e wire.Event) { events = append(events, e.Text) }
	out := filepath.Join(t.TempDir(), "out")
	res, err := Solve(t.Context(), out, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"job.json 644 7", "context/bin/a 755 7", "dockerfile/Dockerfile 644 7"}, input); diff != "" {
		t.Errorf("input disk (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"[1/1] COPY a /"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	sum := sha256.Sum256(archive)
	if res.Payload.SHA256 != hex.EncodeToString(sum[:]) || !strings.HasPrefix(res.Digest, "sha256:") {
		t.Errorf("result %+v", res)
	}
	for _, name := range []string{"oci-layout", "index.json", "blobs/" + strings.Replace(res.Digest, ":", "/", 1)} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	onlyIn(t, filepath.Dir(out), "out")
}

// onlyIn looks for what should have been cleaned up.
func onlyIn(t *testing.T, dir string, want ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff(append([]string{}, want...), names); diff != "" {
		t.Errorf("%s (-want +got):\n%s", dir, diff)
	}
}

func TestSolveFaults(t *testing.T) {
	begin := func(spec vmm.Spec) {
		f, err := os.OpenFile(spec.Disks[1].File, os.O_RDWR, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if _, err := wire.Begin(f); err != nil {
			t.Error(err)
		}
		spec.Progress.Write(wire.Event{Kind: wire.EventStart, Step: 3, Text: "[2/3] RUN make"}.Encode())
		spec.Progress.Write(wire.Event{Kind: wire.EventLog, Step: 3, Text: "cc -c x.c"}.Encode())
	}
	for _, c := range []struct {
		name  string
		guest fakeDriver
		want  []string
	}{
		{"failure", func(_ context.Context, s vmm.Spec) error {
			return finish(s, nil, &wire.Failure{Kind: wire.FailRun, Message: "RUN false: exit code 1", Step: "[1/1] RUN false",
				Position: &wire.Position{File: "Dockerfile", Line: 2}})
		}, []string{"Dockerfile:2: RUN false: exit code 1"}},
		{"panic", func(_ context.Context, s vmm.Spec) error {
			begin(s)
			io.WriteString(s.Console, "[    1.0] Kernel panic - not syncing: sysrq triggered crash\r\n")
			return nil
		}, []string{"kernel gave up: Kernel panic - not syncing: sysrq", "it was at: [2/3] RUN make", "ended with: cc -c x.c"}},
		{"too little memory", func(_ context.Context, s vmm.Spec) error {
			io.WriteString(s.Console, "Out of memory\nKernel panic - not syncing: System is deadlocked on memory\n")
			return nil
		}, []string{"the machine has 128 MiB, raise memory_mb"}},
		{"never started", func(context.Context, vmm.Spec) error { return nil },
			[]string{"never started its work", "bzImage", "its console is empty"}},
		{"in the middle", func(_ context.Context, s vmm.Spec) error { begin(s); return nil },
			[]string{"ended in the middle of its work", "it was at: [2/3] RUN make"}},
		{"monitor killed", func(_ context.Context, s vmm.Spec) error { begin(s); return errors.New("QEMU failed (signal: killed)") },
			[]string{"the build machine: QEMU failed (signal: killed)", "it was at: [2/3] RUN make"}},
		{"hangs", func(ctx context.Context, s vmm.Spec) error { begin(s); <-ctx.Done(); return context.Cause(ctx) },
			[]string{"the time limit of 50ms is reached", "it was at: [2/3] RUN make"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := testOptions(t, c.guest)
			o.Machine.Limit = 5 * time.Second
			if c.name == "hangs" {
				o.Machine.Limit = 50 * time.Millisecond
			}
			dir := t.TempDir()
			_, err := Solve(t.Context(), filepath.Join(dir, "out"), o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
			onlyIn(t, dir)
		})
	}
}

// TestSolveHostileGuest has guests that were taken over by what they build.
func TestSolveHostileGuest(t *testing.T) {
	for name, c := range map[string]struct {
		change func(files map[string][]byte)
		want   string
	}{
		"climbs out": {func(f map[string][]byte) { f["../x"] = []byte("x") }, `"../x" does not belong`},
		"blob out":   {func(f map[string][]byte) { f["blobs/sha256/../../../x"] = []byte("x") }, "does not belong"},
		"wrong blob": {func(f map[string][]byte) { f["blobs/sha256/"+strings.Repeat("0", 64)] = []byte("x") }, "has the digest"},
		"symlink":    {func(f map[string][]byte) { f["blobs/sha256/x"] = []byte("symlink /etc/passwd") }, "is no plain file"},
		"no index":   {func(f map[string][]byte) { delete(f, "index.json") }, "index.json"},
		"huge index": {func(f map[string][]byte) { f["index.json"] = make([]byte, 5<<20) }, "is larger than"},
		"no manifest": {func(f map[string][]byte) {
			f["index.json"] = []byte(`{"schemaVersion":2,"manifests":[]}`)
		}, "the guest's image"},
	} {
		t.Run(name, func(t *testing.T) {
			archive := ociArchive(t, c.change)
			o := testOptions(t, func(_ context.Context, s vmm.Spec) error { return finish(s, archive, nil) })
			dir := t.TempDir()
			_, err := Solve(t.Context(), filepath.Join(dir, "out"), o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			onlyIn(t, dir)
		})
	}
}

// sparseArchive is an archive of one entry that is a hole of size bytes, for which it has none.
func sparseArchive(t *testing.T, name string, size int64) []byte {
	t.Helper()
	records := ""
	for _, kv := range []string{"GNU.sparse.map=0,0", "GNU.sparse.numblocks=1", fmt.Sprintf("GNU.sparse.size=%d", size)} {
		records += fmt.Sprintf("%d %s\n", len(kv)+4, kv) // two digits, a blank and the line feed
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range []struct{ name, data string }{{"pax", records}, {name, ""}} {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.data)), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.data)
	}
	w.Close()
	// package tar writes no such records: the first entry becomes the records of the second.
	const sumAt, typeAt = 148, 156
	head := b.Bytes()[:512]
	head[typeAt] = tar.TypeXHeader
	copy(head[sumAt:], "        ")
	sum := 0
	for _, c := range head {
		sum += int(c)
	}
	copy(head[sumAt:], fmt.Sprintf("%06o\x00 ", sum))
	return b.Bytes()
}

// TestSparse has archives that would fill the disk.
func TestSparse(t *testing.T) {
	const size = 1 << 20
	name := "blobs/sha256/" + strings.TrimPrefix(fromMemory(make([]byte, size)).digest, "sha256:")
	archive := sparseArchive(t, name, size)
	if h, err := tar.NewReader(bytes.NewReader(archive)).Next(); err != nil || h.Size != size || h.Name != name {
		t.Fatalf("the test's archive: %+v, %v", h, err)
	}
	dir := t.TempDir()
	if err := unpackLayout(t.Context(), bytes.NewReader(archive), dir); err == nil || !strings.Contains(err.Error(), "is no plain file") {
		t.Errorf("image: error %v", err)
	}
	err := unpackBlobs(bytes.NewReader(archive), func(digest string) string { return filepath.Join(dir, digest) })
	if err == nil || !strings.Contains(err.Error(), "is no blob of a cache") {
		t.Errorf("cache: error %v", err)
	}
}

// TestManySteps: a guest that was taken over does not take the host's memory with steps that never end.
func TestManySteps(t *testing.T) {
	shown := 0
	p := &progress{event: func(wire.Event) { shown++ }}
	for i := range 3 * maxRunning {
		p.Write(wire.Event{Kind: wire.EventStart, Step: i, Text: "RUN"}.Encode())
	}
	if len(p.steps) > maxRunning || shown > maxRunning {
		t.Errorf("%d steps are kept, %d shown", len(p.steps), shown)
	}
	p.Write(wire.Event{Kind: wire.EventDone, Step: 0}.Encode())
	p.Write(wire.Event{Kind: wire.EventStart, Step: 1 << 20, Text: "RUN last"}.Encode())
	if !strings.Contains(p.last(), "RUN last") {
		t.Error("a step is missing for which there is room")
	}
}

// TestOutTaken: what is at the image's place is told before the work begins, and stays.
func TestOutTaken(t *testing.T) {
	dir := t.TempDir()
	file, full := filepath.Join(dir, "file"), filepath.Join(dir, "full")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(full, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for out, want := range map[string]string{file: "not a directory", full: "is not empty"} {
		o := testOptions(t, func(_ context.Context, s vmm.Spec) error {
			t.Error("the machine was started")
			return finish(s, ociArchive(t, nil), nil)
		})
		if _, err := Solve(t.Context(), out, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "mine" {
		t.Errorf("the file has %q: %v", text, err)
	}
	onlyIn(t, dir, "file", "full")
}

func TestFilesOutside(t *testing.T) {
	for text, want := range map[string]string{
		`{"src": "x", "dest": "/etc/passwd"}`:           "is neither below /context",
		`{"src": "x", "dest": "/context/a"}`:            "no file goes to /dockerfile/Dockerfile",
		`{"src": "x", "dest": "/dockerfile/Otherfile"}`: "no file goes to /dockerfile/Dockerfile",
	} {
		o := testOptions(t, nil)
		var err error
		if o.Files, err = mapping.ReadSpec(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if _, err = Solve(t.Context(), filepath.Join(t.TempDir(), "out"), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
