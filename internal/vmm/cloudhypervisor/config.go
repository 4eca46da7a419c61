package cloudhypervisor

import (
	"errors"
	"fmt"
	"os"

	"github.com/fledge-build/fledge/internal/vmm"
)

// The body of vm.create: the parts of VmConfig that Fledge uses, of the API's description in Cloud Hypervisor's sources
// (vmm/src/api/openapi/cloud-hypervisor.yaml; see testdata/api.json).
type (
	vmConfig struct {
		CPUs     cpusConfig    `json:"cpus"`
		Memory   memoryConfig  `json:"memory"`
		Payload  payloadConfig `json:"payload"`
		Disks    []diskConfig  `json:"disks,omitempty"`
		RNG      rngConfig     `json:"rng"`
		Serial   consoleConfig `json:"serial"`  // the kernel's console
		Console  consoleConfig `json:"console"` // /dev/hvc0
		PVPanic  bool          `json:"pvpanic"`
		Landlock bool          `json:"landlock_enable"`
	}
	cpusConfig struct {
		Boot int `json:"boot_vcpus"`
		Max  int `json:"max_vcpus"`
	}
	memoryConfig struct {
		Size int64 `json:"size"` // bytes
	}
	payloadConfig struct {
		Kernel    string `json:"kernel"`
		Initramfs string `json:"initramfs,omitempty"`
		Cmdline   string `json:"cmdline"`
	}
	diskConfig struct {
		Path     string `json:"path"`
		ReadOnly bool   `json:"readonly"`
		// ImageType is given always: a disk whose type is guessed to be raw takes no writes to its first sector.
		ImageType string `json:"image_type"`
	}
	rngConfig struct {
		Source string `json:"src"`
	}
	consoleConfig struct {
		Mode string `json:"mode"` // File or Off
		File string `json:"file,omitempty"`
	}
)

// sector is the unit of a disk's size, in bytes.
const sector = 512

// maxCPUs is what the API's number holds in all versions.
const maxCPUs = 255

// config describes the machine to Cloud Hypervisor, with the named pipes for its serial line and, if the guest gets one,
// its virtio console.
func config(spec vmm.Spec, serial, progress string) (vmConfig, error) {
	if err := check(spec); err != nil {
		return vmConfig{}, err
	}
	console := "ttyS0"
	if spec.Arch == "arm64" {
		console = "ttyAMA0"
	}
	cmdline, err := spec.CommandLine("console="+console, "panic=-1") // a panic reboots, which is told
	if err != nil {
		return vmConfig{}, err
	}
	c := vmConfig{
		CPUs:     cpusConfig{Boot: spec.CPUs, Max: spec.CPUs},
		Memory:   memoryConfig{Size: int64(spec.MemoryMB) << 20},
		Payload:  payloadConfig{Kernel: spec.Kernel, Initramfs: spec.Initramfs, Cmdline: cmdline},
		RNG:      rngConfig{Source: "/dev/urandom"},
		Serial:   consoleConfig{Mode: "File", File: serial},
		Console:  consoleConfig{Mode: "Off"},
		PVPanic:  true,
		Landlock: true,
	}
	if spec.Progress != nil {
		c.Console = consoleConfig{Mode: "File", File: progress}
	}
	for _, d := range spec.Disks {
		c.Disks = append(c.Disks, diskConfig{Path: d.File, ReadOnly: !d.Writable, ImageType: "Raw"})
	}
	return c, nil
}

// ErrNetwork is the error for guests with a network or ports.
var ErrNetwork = errors.New("Cloud Hypervisor gives a guest a network only through a tap device, which root has to make: " +
	"use the driver qemu for machines with a network or with ports")

// ErrInput is the error for guests that are to read from their serial line.
var ErrInput = errors.New("Fledge gives a guest of Cloud Hypervisor no input on its serial line: use the driver qemu")

// ErrSnapshot is the error for disks whose changes are to be dropped.
var ErrSnapshot = errors.New("Cloud Hypervisor writes to a disk's file itself: use the driver qemu, or give it a copy of the file")

// check finds what Cloud Hypervisor lacks.
func check(spec vmm.Spec) error {
	switch {
	case spec.Network || len(spec.Ports) > 0:
		return ErrNetwork
	case spec.Input != nil:
		return ErrInput
	case spec.CPUs > maxCPUs:
		return fmt.Errorf("%d CPUs: Cloud Hypervisor takes up to %d", spec.CPUs, maxCPUs)
	}
	for i, d := range spec.Disks {
		if d.Snapshot {
			return ErrSnapshot
		}
		st, err := os.Stat(d.File)
		if err != nil {
			return fmt.Errorf("disk %d: %w", i+1, err)
		}
		if st.Size() == 0 || st.Size()%sector != 0 {
			return fmt.Errorf("disk %d: %s has %d bytes: Cloud Hypervisor takes whole sectors of %d bytes, pad the image",
				i+1, d.File, st.Size(), sector)
		}
	}
	return nil
}
