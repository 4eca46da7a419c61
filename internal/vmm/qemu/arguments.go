package qemu

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/host"
	"github.com/fledge-build/fledge/internal/vmm/monitor"
)

// failing has a guest see that its disk fails where the host has no room: QEMU by itself would stop it, and wait for room that never comes.
const failing = ",werror=report"

// arguments is QEMU's command line; ports maps the guest's to the host's.
func (d Driver) arguments(spec vmm.Spec, accel string, ports map[int]int) ([]string, error) {
	machine, cpu, bus := d.Type, "max", "pci"
	if machine == "" {
		machine = map[string]string{"amd64": "q35", "arm64": "virt"}[spec.Arch]
	}
	if machine == "microvm" {
		bus = "device" // virtio-mmio
	}
	if accel == KVM {
		cpu = "host"
	}
	cmdline, err := spec.CommandLine(parameters(spec, accel)...)
	if err != nil {
		return nil, err
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-M", machine + ",accel=" + accel, "-cpu", cpu,
		"-m", strconv.Itoa(spec.MemoryMB), "-smp", strconv.Itoa(spec.CPUs),
		"-kernel", spec.Kernel, "-append", cmdline,
		"-device", "virtio-rng-" + bus,
	}
	if spec.Initramfs != "" {
		args = append(args, "-initrd", spec.Initramfs)
	}
	for i, disk := range spec.Disks {
		id := "disk" + strconv.Itoa(i)
		access := "readonly=on"
		switch {
		case disk.Snapshot:
			access = "snapshot=on,cache=unsafe" + failing
		case disk.Writable:
			access = "cache=unsafe,discard=unmap" + failing // the host reads the file only after the machine's end
		}
		args = append(args,
			"-drive", "if=none,format=raw,"+access+",id="+id+",file="+escape(disk.File),
			"-device", "virtio-blk-"+bus+",drive="+id)
	}
	if spec.Progress != nil {
		// A log, as it blocks when the pipe is full: what a chardev cannot take at once, a virtio console drops.
		args = append(args, "-chardev", "null,id=progress,logfile=/dev/fd/"+strconv.Itoa(monitor.ExtraFD)+",logappend=on",
			"-device", "virtio-serial-"+bus, "-device", "virtconsole,chardev=progress")
	}
	if spec.Network || len(spec.Ports) > 0 {
		network := "user,id=net0"
		if !spec.Network {
			network += ",restrict=on" // the guest reaches neither the host nor what is beyond, only the ports lead to it
		}
		for _, guest := range spec.Ports {
			network += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", ports[guest], guest)
		}
		card := "virtio-net-" + bus + ",netdev=net0"
		if bus == "pci" {
			card += ",romfile=" // no boot over the network, and no need of its firmware
		}
		args = append(args, "-netdev", network, "-device", card)
	}
	return args, nil
}

// parameters are what the kernel needs on this machine.
func parameters(spec vmm.Spec, accel string) []string {
	if spec.Arch == "arm64" {
		return []string{"console=ttyAMA0", "panic=-1"}
	}
	params := []string{"console=ttyS0", "panic=-1", "reboot=t"} // a panic reboots, by triple fault, which ends QEMU
	if khz := host.KHz(); accel == TCG && khz != "" {
		// An emulated processor's clock is the host's. On a busy host the kernel fails to measure it and hangs.
		params = append(params, "tsc_early_khz="+khz)
	}
	return params
}

// escape protects the name of a disk's file in one of QEMU's comma-separated options. A name such as nbd:HOST:PORT would be
// where on the network the disk is: a slash before the first colon makes it a file's.
func escape(file string) string {
	if before, _, colon := strings.Cut(file, ":"); colon && !strings.Contains(before, "/") {
		file = "./" + file
	}
	return strings.ReplaceAll(file, ",", ",,")
}

// hostPorts finds a loopback port for each of the guest's ports: the one that is wanted, or any that is free.
func hostPorts(guest []int, wanted map[int]int) (map[int]int, error) {
	ports := map[int]int{}
	for _, g := range guest {
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(wanted[g])))
		if err != nil {
			return nil, fmt.Errorf("no port of this machine for the guest's port %d: %w", g, err)
		}
		defer l.Close() // only at the end: all ports must differ
		ports[g] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
