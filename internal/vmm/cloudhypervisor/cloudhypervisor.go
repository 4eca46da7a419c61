// Package cloudhypervisor runs machines with Cloud Hypervisor (https://www.cloudhypervisor.org), through the REST API on its
// socket. It needs KVM: Cloud Hypervisor does not emulate. Its seccomp filters and Landlock rules stay on.
package cloudhypervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/host"
)

// Variable is the environment variable that names the program.
const Variable = "CLOUDHYPERVISOR"

// Driver starts machines.
type Driver struct {
	Program string // cloud-hypervisor; see Find
	// noKVM says why KVM is not usable; nil is host.NoKVM.
	noKVM func(arch string) string
}

// Find returns program if it is not empty, else the cloud-hypervisor on PATH.
func Find(program string) (string, error) {
	if program != "" {
		found, err := exec.LookPath(program)
		if err != nil {
			return "", fmt.Errorf("Cloud Hypervisor: %w; set %s to the path of cloud-hypervisor or use the driver qemu",
				err, Variable)
		}
		return found, nil
	}
	found, err := exec.LookPath("cloud-hypervisor")
	if err != nil {
		return "", fmt.Errorf("no cloud-hypervisor on PATH: install it, set %s to its path or use the driver qemu", Variable)
	}
	return found, nil
}

// KVMError is the error for a host without KVM; it is the reason that host.NoKVM gives.
type KVMError string

func (e KVMError) Error() string {
	return fmt.Sprintf("Cloud Hypervisor needs KVM: %s; use the driver qemu, which can emulate", string(e))
}

// Start starts a machine and returns once Cloud Hypervisor has booted it.
func (d Driver) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	noKVM := d.noKVM
	if noKVM == nil {
		noKVM = host.NoKVM
	}
	if why := noKVM(spec.Arch); why != "" {
		return nil, KVMError(why)
	}
	program, err := Find(d.Program)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fledge-vm-")
	if err != nil {
		return nil, err
	}
	m, err := start(ctx, program, dir, spec)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return m, nil
}
