//go:build linux

package main

import (
	"strings"
	"syscall"
)

// pollInterval bounds one wait for an event, in nanoseconds: the kernel may lack the events (no netlink).
const pollInterval = 20e6

// What the buses say about virtio disks, while there is none to use.
const (
	noDevice    = iota // no virtio disk on any bus
	noTransport        // a PCI device that no driver took
	noDriver           // a virtio device that no driver took
	starting           // a driver has it, its disk is about to appear
)

// missingDisk tells for each state how long it is worth waiting for a disk, in nanoseconds, and what to say after that.
// Drivers probe their devices before a module's load returns, so only a bus that scans or a driver that probes in the
// background can still bring a disk.
var missingDisk = [...]struct {
	patience int64
	hint     string
}{
	noDevice:    {250e6, attachImage},
	noTransport: {1e9, "one is on the PCI bus, but the kernel has no virtio_pci: " + bundleModules},
	noDriver:    {1e9, "one is on the virtio bus, but the kernel has no virtio_blk: " + bundleModules},
	starting:    {5e9, "its driver found one, but it did not become ready in 5 s"},
}

const (
	attachImage   = "attach the image as the machine's first virtio disk"
	bundleModules = "bundle the kernel's modules with the image"
)

// waitForDisk returns the name of the first virtio disk, "vda" as a rule. It waits for one that the machine has and
// that is not ready yet.
func waitForDisk(sys string) (string, error) {
	// Listening begins before the first look, so that no event falls between the two.
	events := listenUevents()
	defer syscall.Close(events)
	start := now()
	for {
		if name := firstDisk(sys); name != "" {
			return name, nil
		}
		missing := &missingDisk[diskState(sys)]
		if now()-start > missing.patience {
			return "", fail("no virtio disk", nil, missing.hint)
		}
		waitReadable(events, pollInterval)
	}
}

// firstDisk is the virtio disk that comes first in the kernel's order (vda … vdz, vdaa …), or "".
func firstDisk(sys string) string {
	first := ""
	for _, name := range readDir(sys + "/block") {
		if !strings.HasPrefix(name, "vd") {
			continue
		}
		if first == "" || len(name) < len(first) || len(name) == len(first) && name < first {
			first = name
		}
	}
	return first
}

// diskState looks for virtio disks by their IDs (virtio 1.2, sections 4.1.2.1 and 5).
func diskState(sys string) int {
	state := noDevice
	pci := sys + "/bus/pci/devices/"
	for _, dev := range readDir(pci) {
		id := attribute(pci + dev + "/device")
		if attribute(pci+dev+"/vendor") == "0x1af4" && (id == "0x1001" || id == "0x1042") && !hasDriver(pci+dev) {
			state = noTransport
		}
	}
	virtio := sys + "/bus/virtio/devices/"
	for _, dev := range readDir(virtio) {
		if attribute(virtio+dev+"/device") != "0x0002" {
			continue
		}
		if hasDriver(virtio + dev) {
			return starting
		}
		state = noDriver
	}
	return state
}

// isReadOnly tells whether the machine's monitor lets nobody write to the disk.
func isReadOnly(sys, disk string) bool { return attribute(sys+"/block/"+disk+"/ro") == "1" }

func attribute(path string) string {
	b, _ := readFile(path)
	return strings.TrimSuffix(string(b), "\n")
}

func hasDriver(dev string) bool {
	var st syscall.Stat_t
	return syscall.Stat(dev+"/driver", &st) == nil
}

func hex(b []byte) string {
	s := ""
	for i, v := range b {
		if i > 0 {
			s += " "
		}
		s += string("0123456789abcdef"[v>>4]) + string("0123456789abcdef"[v&15])
	}
	return s
}
