package main

import (
	"flag"
	"runtime/debug"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/packing"
)

// packFlags are the flags of the commands that make layer packs.
type packFlags struct {
	compressionFlags
	target string
}

func (p *packFlags) register(fs *flag.FlagSet) {
	p.compressionFlags.register(fs)
	fs.StringVar(&p.target, "for", packing.Squashfs, "`kind` of image that the pack is for: squashfs or initramfs")
}

// settings checks the flags.
func (p *packFlags) settings() (packing.Settings, error) {
	if p.target != packing.Squashfs && p.target != packing.Initramfs {
		return packing.Settings{}, cli.Usagef("--for %q: give squashfs or initramfs", p.target)
	}
	spec, err := p.spec(p.target)
	if p.target == packing.Initramfs {
		debug.SetGCPercent(30) // segments and encoders are large, and few
	}
	return packing.Settings{Kind: p.target, Codec: spec, BlockSize: p.blockSize, Jobs: p.jobs}, err
}
