package boot

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/internal/verity/layout"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

const (
	diskContent      = "hsqs and so on"
	initramfsContent = "\x1f\x8b and so on"
)

// artifact is a part of a manifest with the digest of a content.
func artifact(url, content string) *manifest.Artifact {
	return &manifest.Artifact{URL: url, Checksum: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))}
}

// folder makes files; contents that are manifests are encoded.
func folder(t *testing.T, files map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		raw, ok := content.(string)
		if !ok {
			b, err := json.Marshal(content)
			if err != nil {
				t.Fatal(err)
			}
			raw = string(b)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(raw), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	whole := &manifest.Manifest{Name: "app", RootFS: artifact("app-rootfs.img", diskContent), Initramfs: artifact("app.initramfs.cpio.gz", initramfsContent)}
	dir := folder(t, map[string]any{
		"app-rootfs.img": diskContent, "app.initramfs.cpio.gz": initramfsContent, "app.manifest.json": whole,
		"bare.img": diskContent, "bare.initramfs.cpio.gz": initramfsContent,
		"tool.cpio.gz": initramfsContent, "tool.manifest.json": &manifest.Manifest{Name: "tool", Initramfs: artifact("tool.cpio.gz", initramfsContent)},
		"plain.cpio": "0707010000", "plain.manifest.json": whole, // of another image
		"pretty.json": "\n" + `{ "name": "x", "initramfs": {"url": "file://` + "/none" + `"}}`,
	})
	in := func(name string) string {
		if name == "" {
			return ""
		}
		return filepath.Join(dir, name)
	}
	for _, tt := range []struct{ image, initramfs, wantRootfs, wantInitramfs, wantManifest string }{
		{"app.manifest.json", "", "app-rootfs.img", "app.initramfs.cpio.gz", "app.manifest.json"},
		{"app-rootfs.img", "", "app-rootfs.img", "app.initramfs.cpio.gz", "app.manifest.json"},
		{"app.manifest.json", "plain.cpio", "app-rootfs.img", "plain.cpio", "app.manifest.json"},
		{"bare.img", "", "bare.img", "bare.initramfs.cpio.gz", ""},
		{"bare.img", "plain.cpio", "bare.img", "plain.cpio", ""},
		{"tool.cpio.gz", "", "", "tool.cpio.gz", "tool.manifest.json"},
		{"plain.cpio", "", "", "plain.cpio", ""},
	} {
		got, err := Find(in(tt.image), in(tt.initramfs))
		if err != nil {
			t.Errorf("%s: %v", tt.image, err)
			continue
		}
		want := Artifact{Rootfs: in(tt.wantRootfs), Initramfs: in(tt.wantInitramfs), ManifestFile: in(tt.wantManifest)}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Artifact{}, "Manifest")); diff != "" || (got.Manifest != nil) != (tt.wantManifest != "") {
			t.Errorf("%s (-want +got):\n%s", tt.image, diff)
		}
	}
	if _, err := Find(in("pretty.json"), ""); err == nil || !strings.Contains(err.Error(), "initramfs: open /none: no such file") {
		t.Errorf("an absolute URL: %v", err)
	}
}

func TestFindErrors(t *testing.T) {
	m := func(rootfs, initramfs *manifest.Artifact) any {
		return &manifest.Manifest{Name: "app", RootFS: rootfs, Initramfs: initramfs}
	}
	for want, files := range map[string]map[string]any{
		"app.img: it is too short for an image":                {"app.img": "x"},
		"no such file or directory":                            {},
		"app.img has no boot initramfs beside it":              {"app.img": diskContent},
		"app.img has the digest sha256:":                       {"app.img": diskContent, "app.manifest.json": m(artifact("app.img", "other"), nil)},
		"and the manifest says nothing":                        {"app.img": diskContent, "app.manifest.json": m(&manifest.Artifact{URL: "app.img"}, nil)},
		"rootfs: it has no url":                                {"app.img": m(&manifest.Artifact{}, nil)},
		"rootfs: url https://x/app.img is not of this machine": {"app.img": m(&manifest.Artifact{URL: "https://x/app.img"}, nil)},
		"names neither a rootfs nor an initramfs":              {"app.img": `{"name": "x"}`},
		"app.img: invalid character":                           {"app.img": `{"name": x}`},
		"app.manifest.json: unexpected end":                    {"app.img": diskContent, "app.manifest.json": `{"name`},
		"initramfs: open ":                                     {"app.img": m(nil, artifact("none.cpio.gz", ""))},
	} {
		_, err := Find(filepath.Join(folder(t, files), "app.img"), "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	image := filepath.Join(folder(t, map[string]any{"a.cpio.gz": initramfsContent}), "a.cpio.gz")
	if _, err := Find(image, image); err == nil || !strings.Contains(err.Error(), "is an initramfs itself") {
		t.Errorf("an initramfs with an initramfs: %v", err)
	}
}

func TestSpec(t *testing.T) {
	rootfs := filepath.Join(folder(t, map[string]any{"r": diskContent}), "r")
	a := Artifact{Rootfs: rootfs, Initramfs: "i", ManifestFile: "m", Manifest: &manifest.Manifest{
		Resources: manifest.Resources{CPUCores: 3, MemoryMB: 333},
		Network: manifest.Network{Expose: []manifest.Port{
			{Port: 443, Protocol: "tcp", HostPort: 8443}, {Port: 80, Protocol: "tcp"}, {Port: 80, Protocol: "tcp", HostPort: 1}, {Port: 53, Protocol: "udp"},
		}},
		CloudInit: &manifest.CloudInit{}, Devices: &manifest.Devices{},
	}}
	got, notes, err := a.Spec(Machine{Arch: "arm64", Kernel: "k", Append: []string{"quiet", "a=b"}, HostPorts: map[int]int{80: 8080, 22: 0}})
	if err != nil || len(notes) != 3 {
		t.Fatalf("%v, notes %q", err, notes)
	}
	line := got.Cmdline
	got.Cmdline = ""
	want := vmm.Spec{
		Arch: "arm64", Kernel: "k", Initramfs: "i", Disks: []vmm.Disk{{File: rootfs}}, MemoryMB: 333, CPUs: 3,
		Ports: []int{22, 80, 443}, HostPorts: map[int]int{22: 0, 80: 8080, 443: 8443},
	}
	if diff := cmp.Diff(want, got); diff != "" || !strings.HasPrefix(line, "quiet a=b volant.manifest=H4sI") {
		t.Errorf("command line %q (-want +got):\n%s", line, diff)
	}
	for _, tt := range []struct {
		artifact     Artifact
		machine      Machine
		memory, cpus int
	}{
		{a, Machine{MemoryMB: 1, CPUs: 4}, 1, 4},
		{Artifact{}, Machine{}, 2048, 2},
		{Artifact{}, Machine{MemoryMB: 1, CPUs: 4}, 1, 4},
		{Artifact{Manifest: &manifest.Manifest{}}, Machine{}, 2048, 2},
	} {
		if s, _, err := tt.artifact.Spec(tt.machine); err != nil || s.MemoryMB != tt.memory || s.CPUs != tt.cpus {
			t.Errorf("%+v: %d MiB, %d CPUs, %v", tt.machine, s.MemoryMB, s.CPUs, err)
		}
	}
}

// TestSnapshot lets a guest write to what it can write to, and to nothing else.
func TestSnapshot(t *testing.T) {
	at := func(offset int, magic string) string { return strings.Repeat("\x00", offset) + magic }
	dir := folder(t, map[string]any{
		"ext4": at(1080, "\x53\xef"), "xfs": "XFSB", "btrfs": at(65600, "_BHRfS_M"),
		"squashfs": "hsqs", "erofs": at(1024, "\xe2\xe1\xf5\xe0"), "disk": at(510, "\x55\xaa"), "empty": "",
	})
	for name, want := range map[string]bool{"ext4": true, "xfs": true, "btrfs": true, "squashfs": false, "erofs": false, "disk": false, "empty": false} {
		spec, _, err := Artifact{Rootfs: filepath.Join(dir, name)}.Spec(Machine{})
		if err != nil || len(spec.Disks) != 1 || spec.Disks[0].Snapshot != want || spec.Disks[0].Writable {
			t.Errorf("%s: %+v, %v", name, spec.Disks, err)
		}
	}
	if _, _, err := (Artifact{Rootfs: filepath.Join(dir, "gone")}).Spec(Machine{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestRootHash gives the guest the root hash of the manifest, unless it is given another.
func TestRootHash(t *testing.T) {
	p := &verity.Params{RootHash: layout.Hash{0: 0x12, 31: 0x34}}
	hash := "12" + strings.Repeat("0", 60) + "34"
	rootfs := filepath.Join(folder(t, map[string]any{"r": diskContent}), "r")
	a := Artifact{Rootfs: rootfs, Manifest: &manifest.Manifest{RootFS: &manifest.Artifact{Verity: p}}}
	plain := Artifact{Rootfs: rootfs, Manifest: &manifest.Manifest{RootFS: &manifest.Artifact{}}}
	for _, tt := range []struct {
		artifact Artifact
		given    []string
		want     string
	}{
		{a, nil, "roothash=" + hash + " volant.manifest="},
		{a, []string{"quiet"}, "quiet roothash=" + hash + " volant.manifest="},
		{a, []string{"quiet roothash=ab"}, "quiet roothash=ab volant.manifest="},
		{plain, nil, "volant.manifest="},
		{Artifact{Manifest: a.Manifest}, nil, "volant.manifest="}, // an initramfs alone
	} {
		if s, _, err := tt.artifact.Spec(Machine{Append: tt.given}); err != nil || !strings.HasPrefix(s.Cmdline, tt.want) {
			t.Errorf("%q: %q, %v; want %q", tt.given, s.Cmdline, err, tt.want)
		}
	}
}

func TestParsePort(t *testing.T) {
	for s, want := range map[string][2]int{"8080:80": {8080, 80}, "80": {0, 80}, "1:65535": {1, 65535}} {
		if host, guest, err := ParsePort(s); err != nil || [2]int{host, guest} != want {
			t.Errorf("%s: %d:%d, %v", s, host, guest, err)
		}
	}
	for _, s := range []string{"", ":80", "80:", "0:80", "80:0", "65536", "1:2:3", "-1", "http", "127.0.0.1:80:80"} {
		if host, guest, err := ParsePort(s); err == nil || !strings.Contains(err.Error(), "HOST:GUEST") {
			t.Errorf("%s: %d:%d, %v", s, host, guest, err)
		}
	}
}

func TestConsole(t *testing.T) {
	for terminal, want := range map[bool]string{true: "one\r\nKernel panic - x\r\ntwo", false: "one\nKernel panic - x\ntwo"} {
		var shown bytes.Buffer
		c := &console{to: &shown, terminal: terminal, broken: make(chan error, 1)}
		for _, piece := range []string{"one\r", "\nKernel pan", "ic - x\r\n", "two"} {
			if n, err := c.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Error(n, err)
			}
		}
		if shown.String() != want || c.failure() != "Kernel panic - x" {
			t.Errorf("%q, failure %q", &shown, c.failure())
		}
	}
}

func TestKeyboard(t *testing.T) {
	for typed, want := range map[string]struct {
		read  string
		quits int
	}{
		"abc\x03":           {"abc\x03", 0},
		"a\x01\x01b":        {"a\x01b", 0},
		"a\x01xb":           {"ab", 1},
		"\x01cx":            {"cx", 0},
		"\x01\x01x":         {"\x01x", 0},
		"\x01":              {"", 0},
		"\x01\x01\x01x\x01": {"\x01", 1},
	} {
		quits := 0
		k := &keyboard{from: iotest.OneByteReader(strings.NewReader(typed)), quit: func() { quits++ }}
		var read bytes.Buffer
		if _, err := read.ReadFrom(k); err != nil || read.String() != want.read || quits != want.quits {
			t.Errorf("%q: read %q, quit %d times, %v", typed, read.String(), quits, err)
		}
	}
}

// TestReaderGone has a program in QEMU's place, whose console is a pipe that nobody reads.
func TestReaderGone(t *testing.T) {
	program := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nwhile :; do echo line; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	spec := vmm.Spec{Arch: "amd64", Kernel: program, MemoryMB: 1, CPUs: 1}
	err = Run(t.Context(), qemu.Driver{Program: program, Accel: qemu.TCG}, spec, Terminal{Out: w, Log: io.Discard}, 30*time.Second)
	if !errors.Is(err, syscall.EPIPE) || !strings.Contains(err.Error(), "the machine is off") {
		t.Error(err)
	}
}
