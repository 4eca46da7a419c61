package boot

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/tools/fledge/internal/superblock"
)

// The size of a machine that no manifest tells; it is that of manifests which say nothing.
const (
	defaultCPUs     = 2
	defaultMemoryMB = 2048
)

// Machine is what the command line says of the machine; zero is what the manifest says.
type Machine struct {
	Arch      string
	Kernel    string
	MemoryMB  int
	CPUs      int
	Append    []string    // kernel parameters
	HostPorts map[int]int // the host's port by the guest's; 0 is any
}

// Spec describes the machine to its monitor. Notes tell what of the manifest it lacks.
func (a Artifact) Spec(m Machine) (spec vmm.Spec, notes []string, err error) {
	spec = vmm.Spec{
		Arch: m.Arch, Kernel: m.Kernel, Initramfs: a.Initramfs,
		MemoryMB: cmp.Or(m.MemoryMB, defaultMemoryMB), CPUs: cmp.Or(m.CPUs, defaultCPUs),
		Cmdline: strings.Join(m.Append, " "), HostPorts: map[int]int{},
	}
	if a.Rootfs != "" {
		disk, err := rootDisk(a.Rootfs)
		if err != nil {
			return spec, nil, err
		}
		spec.Disks = []vmm.Disk{disk}
	}
	if a.Manifest != nil {
		spec.MemoryMB = cmp.Or(m.MemoryMB, int(a.Manifest.Resources.MemoryMB), defaultMemoryMB)
		spec.CPUs = cmp.Or(m.CPUs, int(a.Manifest.Resources.CPUCores), defaultCPUs)
		param, err := a.Manifest.Parameter()
		if err != nil {
			return spec, nil, fmt.Errorf("%s: %w", a.ManifestFile, err)
		}
		spec.Cmdline = strings.Join(slices.Concat(m.Append, a.rootHash(m.Append), []string{param}), " ")
		notes = a.ports(&spec)
		if a.Manifest.CloudInit != nil {
			notes = append(notes, "the manifest's cloud_init is left out: the machine has no disk for it")
		}
		if a.Manifest.Devices != nil {
			notes = append(notes, "the manifest's devices are left out: the machine gets none of the host's")
		}
	}
	for guest, host := range m.HostPorts {
		if !slices.Contains(spec.Ports, guest) {
			spec.Ports = append(spec.Ports, guest)
		}
		spec.HostPorts[guest] = host
	}
	slices.Sort(spec.Ports)
	return spec, notes, nil
}

// rootHash is the kernel parameter with the root hash of dm-verity that the manifest has, unless one is given.
func (a Artifact) rootHash(given []string) []string {
	if a.Rootfs == "" || a.Manifest.RootFS == nil || a.Manifest.RootFS.Verity == nil ||
		bootconf.FromCommandLine(strings.Join(given, " "), bootconf.RootHashKey) != "" {
		return nil
	}
	return []string{bootconf.RootHashKey + "=" + a.Manifest.RootFS.Verity.RootHash.String()}
}

// rootDisk is the disk of a root file system. The guest writes to one that it can write to, and the file stays as it is.
func rootDisk(file string) (vmm.Disk, error) {
	f, err := os.Open(file)
	if err != nil {
		return vmm.Disk{}, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, superblock.HeadSize))
	return vmm.Disk{File: file, Snapshot: packing.Writable(superblock.Kind(head))}, err
}

// ports adds the manifest's.
func (a Artifact) ports(spec *vmm.Spec) (notes []string) {
	for _, p := range a.Manifest.Network.Expose {
		switch port := int(p.Port); {
		case p.Protocol != "" && p.Protocol != "tcp":
			notes = append(notes, fmt.Sprintf("port %d/%s of the manifest cannot be reached: only TCP is passed on", p.Port, p.Protocol))
		case !slices.Contains(spec.Ports, port):
			spec.Ports = append(spec.Ports, port)
			spec.HostPorts[port] = int(p.HostPort)
		}
	}
	return notes
}

// ParsePort reads HOST:GUEST, or GUEST for a host's port that is free.
func ParsePort(s string) (host, guest int, err error) {
	first, second, both := strings.Cut(s, ":")
	if !both {
		second = first
	}
	if guest, err = port(second); err == nil && both {
		host, err = port(first)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%q: give HOST:GUEST, such as 8080:80, or GUEST alone: %w", s, err)
	}
	return host, guest, nil
}

func port(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%q is not a port from 1 to 65535", s)
	}
	return n, nil
}
