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
	mode                      string
	guest                     string // the program that talks to it
	addr                      string
	ca, cert, key, serverName string // of TLS
}

func (d *daemon) flags(fs *flag.FlagSet) {
	fs.StringVar(&d.mode, "mode", os.Getenv(modeVariable), "what solves: `vm`, a machine of its own, or daemon, "+
		"the buildkitd at --addr; by default "+modeVariable+", else vm")
	fs.StringVar(&d.addr, "addr", os.Getenv(addrVariable), "`address` of a buildkitd: unix:///SOCKET, tcp://HOST:PORT or "+
		"docker-container://NAME; by default "+addrVariable)
	fs.StringVar(&d.guest, "guest", "", "the guest as a `program` of this machine, which talks to the buildkitd")
	fs.StringVar(&d.ca, "tls-ca", "", "`file` of the certificates that the buildkitd's is checked with")
	fs.StringVar(&d.cert, "tls-cert", "", "`file` of the certificate that the buildkitd asks for")
	fs.StringVar(&d.key, "tls-key", "", "`file` of that certificate's key")
	fs.StringVar(&d.serverName, "tls-server-name", "", "`name` in the buildkitd's certificate; by default the host of --addr")
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
	p := &solve.Program{Path: d.guest, Args: []string{"-addr", d.addr}}
	for _, f := range [][2]string{
		{"-tls-ca", d.ca}, {"-tls-cert", d.cert}, {"-tls-key", d.key}, {"-tls-server-name", d.serverName},
	} {
		if f[1] != "" {
			p.Args = append(p.Args, f[0], f[1])
		}
	}
	return p
}
