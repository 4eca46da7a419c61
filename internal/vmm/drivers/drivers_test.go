package drivers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

func TestSelect(t *testing.T) {
	both, qemuOnly, none := t.TempDir(), t.TempDir(), t.TempDir()
	mine := filepath.Join(both, "cloud-hypervisor")
	for _, program := range []string{mine, filepath.Join(both, "qemu-system-x86_64"), filepath.Join(qemuOnly, "qemu-system-x86_64")} {
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const missing = "no KVM module"
	for _, tt := range []struct {
		name, path string
		options    Options
		noKVM      string
		want       string // the driver, or part of the error
		note       string // part of it
	}{
		{"auto", both, Options{}, "", CloudHypervisor, ""},
		{"auto without Cloud Hypervisor", qemuOnly, Options{Driver: Auto}, "", QEMU, ""},
		{"auto with one that is named", qemuOnly, Options{CloudHypervisor: mine}, "", CloudHypervisor, ""},
		{"auto without KVM", both, Options{}, missing, QEMU, ""},
		{"auto without KVM, named", qemuOnly, Options{CloudHypervisor: mine}, missing, QEMU, "QEMU runs the machine: Cloud "},
		{"auto with network", both, Options{Network: true}, "", QEMU, ""},
		{"auto, named wrongly", both, Options{CloudHypervisor: "/none"}, "", "set CLOUDHYPERVISOR to the path", ""},
		{"auto with nothing", none, Options{}, "", "no qemu-system-x86_64 on PATH: install QEMU or set FLEDGE_QEMU", ""},
		{"auto, named, with network", both, Options{CloudHypervisor: mine, Network: true}, "", QEMU, "a tap device"},
		{"auto with input", both, Options{Input: true}, "", QEMU, ""},
		{"input", both, Options{Driver: CloudHypervisor, Input: true}, "", "no input on its serial line: use the driver qemu", ""},
		{"auto with a snapshot", both, Options{Snapshot: true}, "", QEMU, ""},
		{"a snapshot", both, Options{Driver: CloudHypervisor, Snapshot: true}, "", "writes to a disk's file itself: use the driver qemu", ""},
		{"QEMU", both, Options{Driver: QEMU}, "", QEMU, ""},
		{"no QEMU", none, Options{Driver: QEMU}, "", "no qemu-system-x86_64 on PATH", ""},
		{"Cloud Hypervisor", both, Options{Driver: CloudHypervisor}, "", CloudHypervisor, ""},
		{"no Cloud Hypervisor", none, Options{Driver: CloudHypervisor}, "", "set CLOUDHYPERVISOR to its path", ""},
		{"no KVM", both, Options{Driver: CloudHypervisor}, missing, "needs KVM: no KVM module; use the driver qemu", ""},
		{"network", both, Options{Driver: CloudHypervisor, Network: true}, "", "a tap device, which root has to make", ""},
		{"unknown", both, Options{Driver: "firecracker"}, "", `driver "firecracker": it is auto, cloud-hypervisor or qemu`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			notes := ""
			o := tt.options
			o.Arch, o.noKVM, o.Note = "amd64", func(string) string { return tt.noKVM }, func(line string) { notes += line }
			d, err := Select(o)
			got := ""
			switch d.(type) {
			case cloudhypervisor.Driver:
				got = CloudHypervisor
			case qemu.Driver:
				got = QEMU
			}
			if err != nil {
				got = err.Error()
			}
			if err == nil && got != tt.want || !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if (notes == "") != (tt.note == "") || !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}
