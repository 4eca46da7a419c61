// Package qemu runs machines with QEMU's system emulators, with KVM where it really works and by emulation (TCG)
// elsewhere.
//
// A guest with a network card gets 10.0.2.15/24 by DHCP from QEMU's user network; with Spec.Network it reaches, through
// 10.0.2.2 and with the host's user's rights, what that user reaches, the host's own servers at 10.0.2.2 included, and has
// a name server at 10.0.2.3.
package qemu

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/host"
)

// Accelerators of Driver.Accel.
const (
	Auto = "auto"
	KVM  = "kvm"
	TCG  = "tcg"
)

// silence is how long a machine may run before the first byte on its console or of its progress. A kernel under KVM takes
// well under a second; that this time passes without a word is what a KVM looks like that cannot run the kernel.
var silence = 5 * time.Second // a variable for the tests

// Driver starts machines.
type Driver struct {
	Program string            // qemu-system-*; see Find
	Accel   string            // Auto, KVM or TCG; "" is Auto
	Type    string            // QEMU's machine type; "" is q35 on amd64 and virt on arm64
	Note    func(line string) // told why KVM is not used; may be nil
}

// Variable is the environment variable that names the emulator for guests of arch (a GOARCH).
func Variable(arch string) string {
	if arch == "arm64" {
		return "FLEDGE_QEMU_ARM64"
	}
	return "FLEDGE_QEMU"
}

// Find returns the emulator for guests of arch (a GOARCH): program if it is not empty, else the one on PATH.
func Find(arch, program string) (string, error) {
	name := map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}[arch]
	if name == "" {
		return "", fmt.Errorf("arch %q: Fledge boots amd64 and arm64", arch)
	}
	if program != "" {
		return exec.LookPath(program)
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s on PATH: install QEMU or set %s to its path", name, Variable(arch))
	}
	return found, nil
}

// Start starts a machine and returns once it prints something, or after a few seconds without a word. It ends with ctx.
func (d Driver) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	why := ""
	switch d.Accel {
	case TCG:
	case KVM:
		m, err := d.launch(ctx, spec, KVM)
		return result(m, spec, err)
	case Auto, "":
		if why = host.NoKVM(spec.Arch); why == "" {
			m, err := d.launch(ctx, spec, KVM)
			if err == nil && !m.silent {
				return result(m, spec, nil)
			}
			why = fmt.Sprintf("the kernel printed nothing in %v", silence)
			if err != nil {
				why = err.Error()
			} else {
				m.Stop()
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		d.note(fmt.Sprintf("KVM is not usable (%.150s), so the machine is emulated (TCG)", why))
	default:
		return nil, fmt.Errorf("accelerator %q: it is auto, kvm or tcg", d.Accel)
	}
	m, err := d.launch(ctx, spec, TCG)
	return result(m, spec, err)
}

// result gives the machine that is kept its input; another attempt's would be lost. It keeps a nil *machine from becoming a
// vmm.Machine that is not nil.
func result(m *machine, spec vmm.Spec, err error) (vmm.Machine, error) {
	if err != nil {
		return nil, err
	}
	if spec.Input != nil {
		go m.feed(spec.Input)
	}
	return m, nil
}

func (d Driver) note(line string) {
	if d.Note != nil {
		d.Note(line)
	}
}

// portAttempts is how often a start is tried when another program took the port between its choice and QEMU's use of
// it.
const portAttempts = 3

// launch starts QEMU and waits for a sign of life.
func (d Driver) launch(ctx context.Context, spec vmm.Spec, accel string) (*machine, error) {
	for attempt := 1; ; attempt++ {
		ports, err := hostPorts(spec.Ports, spec.HostPorts)
		if err != nil {
			return nil, err
		}
		args, err := d.arguments(spec, accel, ports)
		if err != nil {
			return nil, err
		}
		m, err := startMachine(ctx, append([]string{d.Program}, args...), ports, spec)
		if err == nil {
			return m, nil
		}
		if attempt == portAttempts || !strings.Contains(err.Error(), "Could not set up host forwarding rule") {
			return nil, err
		}
	}
}
