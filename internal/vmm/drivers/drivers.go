// Package drivers chooses what runs a virtual machine.
package drivers

import (
	"fmt"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/cloudhypervisor"
	"github.com/fledge-build/fledge/internal/vmm/host"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// Names of drivers.
const (
	Auto            = "auto" // Cloud Hypervisor where it is found and KVM works, else QEMU
	CloudHypervisor = "cloud-hypervisor"
	QEMU            = "qemu"
)

// Options is what a choice depends on.
type Options struct {
	Driver          string            // one of the names; "" is Auto
	Arch            string            // of the guests: amd64 or arm64
	Network         bool              // the guests get a network or ports, which only QEMU gives without root
	Input           bool              // the guests read from their serial line, which only QEMU has
	Snapshot        bool              // a disk of the guests is one whose changes are dropped, which only QEMU has
	CloudHypervisor string            // program; "" is the one on PATH
	QEMU            string            // program; "" is the one on PATH
	Note            func(line string) // told why the usual is not used: Cloud Hypervisor that is named, KVM; may be nil

	noKVM func(arch string) string // nil is host.NoKVM
}

// Select returns the driver, or an error when its program is not there or cannot run such guests.
func Select(o Options) (vmm.Driver, error) {
	switch o.Driver {
	case CloudHypervisor:
		return o.cloudHypervisor()
	case QEMU:
		return o.qemu()
	case Auto, "":
		return o.auto()
	}
	return nil, fmt.Errorf("driver %q: it is %s, %s or %s", o.Driver, Auto, CloudHypervisor, QEMU)
}

func (o Options) auto() (vmm.Driver, error) {
	if o.CloudHypervisor != "" { // named: it must be there, and it is told why it is not used
		if _, err := cloudhypervisor.Find(o.CloudHypervisor); err != nil {
			return nil, err
		}
	}
	d, err := o.cloudHypervisor()
	if err == nil {
		return d, nil
	}
	if o.CloudHypervisor != "" && o.Note != nil {
		o.Note(fmt.Sprintf("QEMU runs the machine: %v", err))
	}
	return o.qemu()
}

func (o Options) cloudHypervisor() (vmm.Driver, error) {
	program, err := cloudhypervisor.Find(o.CloudHypervisor)
	if err != nil {
		return nil, err
	}
	if o.Network {
		return nil, cloudhypervisor.ErrNetwork
	}
	if o.Input {
		return nil, cloudhypervisor.ErrInput
	}
	if o.Snapshot {
		return nil, cloudhypervisor.ErrSnapshot
	}
	noKVM := o.noKVM
	if noKVM == nil {
		noKVM = host.NoKVM
	}
	if why := noKVM(o.Arch); why != "" {
		return nil, cloudhypervisor.KVMError(why)
	}
	return cloudhypervisor.Driver{Program: program}, nil
}

func (o Options) qemu() (vmm.Driver, error) {
	program, err := qemu.Find(o.Arch, o.QEMU)
	if err != nil {
		return nil, err
	}
	return qemu.Driver{Program: program, Note: o.Note}, nil
}
