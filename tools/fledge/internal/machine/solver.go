package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

// Variables that have a buildkitd solve in place of a machine; docs/dockerfile-daemon.md tells of them.
const (
	modeVariable = "FLEDGE_BUILDKIT_MODE"
	addrVariable = "FLEDGE_BUILDKIT_ADDR"
)

// Solver is what solves Dockerfiles: a machine, or with Program a daemon that this program talks to.
type Solver struct {
	Machine solve.Machine
	Program *solve.Program
}

// Prepare makes ready what solves Dockerfiles: a machine with the payload's guest or, with FLEDGE_BUILDKIT_MODE=daemon, the
// program that talks to the buildkitd at FLEDGE_BUILDKIT_ADDR. The machine's size is the usual one and may be changed.
func Prepare(ctx context.Context, o Options) (Solver, error) {
	switch mode := os.Getenv(modeVariable); mode {
	case "", "vm":
		m, err := o.machine(ctx)
		return Solver{Machine: m}, err
	case "daemon":
		program, err := o.daemon()
		return Solver{Machine: solve.UsualMachine(), Program: program}, err
	default:
		return Solver{}, fmt.Errorf("%s=%s: it is vm or daemon", modeVariable, mode)
	}
}

func (o Options) machine(ctx context.Context) (solve.Machine, error) {
	m := solve.UsualMachine()
	made, err := o.prepare(ctx, "a Dockerfile is solved in a virtual machine", "guest-"+o.Arch, bootfs.SelectGuestModules)
	m.Driver, m.Kernel, m.Initramfs = made.driver, made.kernel, made.initramfs
	return m, err
}

// daemon is the guest as a program of this machine.
func (o Options) daemon() (*solve.Program, error) {
	d := solve.Daemon{
		Addr: os.Getenv(addrVariable), CA: os.Getenv("FLEDGE_BUILDKIT_TLS_CA"), Cert: os.Getenv("FLEDGE_BUILDKIT_TLS_CERT"),
		Key: os.Getenv("FLEDGE_BUILDKIT_TLS_KEY"), ServerName: os.Getenv("FLEDGE_BUILDKIT_TLS_SERVER_NAME"),
	}
	switch {
	case d.Addr == "":
		return nil, fmt.Errorf("%s=daemon needs the address of a buildkitd: set %s, to unix:///run/buildkit/buildkitd.sock for example",
			modeVariable, addrVariable)
	case runtime.GOOS != "linux":
		return nil, fmt.Errorf("%s=daemon: what talks to the buildkitd is a Linux program, and this machine has %s", modeVariable, runtime.GOOS)
	}
	p, err := payload.Open()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	guest, err := p.Extract("guest-"+runtime.GOARCH, filepath.Join(o.Cache, "programs"))
	if err != nil {
		return nil, err
	}
	return d.Program(guest), nil
}
