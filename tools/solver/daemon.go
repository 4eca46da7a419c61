package main

import (
	"flag"
	"os"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/solve"
)

// Modes, and the variables that say which where no flag does.
const (
	modeVM     = "vm"
	modeDaemon = "daemon"

	modeVariable = "FLEDGE_BUILDKIT_MODE"
	addrVariable = "FLEDGE_BUILDKIT_ADDR"
)

// daemon is what solves in place of a machine.
type daemon struct {
	solve.Daemon
	mode  string
	guest string // the program that talks to it
}

func (d *daemon) flags(fs *flag.FlagSet) {
	fs.StringVar(&d.mode, "mode", os.Getenv(modeVariable), "what solves: `vm`, a machine of its own, or daemon, "+
		"the buildkitd at --addr; by default "+modeVariable+", else vm")
	fs.StringVar(&d.Addr, "addr", os.Getenv(addrVariable), "`address` of a buildkitd: unix:///SOCKET, tcp://HOST:PORT or "+
		"docker-container://NAME; by default "+addrVariable)
	fs.StringVar(&d.guest, "guest", "", "the guest as a `program` of this machine, which talks to the buildkitd")
	fs.StringVar(&d.CA, "tls-ca", "", "`file` of the certificates that the buildkitd's is checked with")
	fs.StringVar(&d.Cert, "tls-cert", "", "`file` of the certificate that the buildkitd asks for")
	fs.StringVar(&d.Key, "tls-key", "", "`file` of that certificate's key")
	fs.StringVar(&d.ServerName, "tls-server-name", "", "`name` in the buildkitd's certificate; by default the host of --addr")
}

// required are the names of the flags that the mode cannot do without.
func (d *daemon) required() ([]string, error) {
	switch d.mode {
	case "", modeVM:
		return []string{"kernel", "initramfs"}, nil
	case modeDaemon:
		return []string{"addr", "guest"}, nil
	}
	return nil, cli.Usagef("--mode %s: it is %s or %s (also in %s)", d.mode, modeVM, modeDaemon, modeVariable)
}

// program is nil for a machine.
func (d *daemon) program() *solve.Program {
	if d.mode != modeDaemon {
		return nil
	}
	return d.Daemon.Program(d.guest)
}
