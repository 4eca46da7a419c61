package main

import (
	"flag"
	"runtime/debug"
	"slices"
	"strings"

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
	fs.StringVar(&p.target, "for", packing.Squashfs, "`kind` of image that the pack is for: "+kinds)
}

var kinds = strings.Join(packing.Kinds, ", ")

// settings checks the flags.
func (p *packFlags) settings() (packing.Settings, error) {
	if !slices.Contains(packing.Kinds, p.target) {
		return packing.Settings{}, cli.Usagef("--for %q: give one of %s", p.target, kinds)
	}
	spec, err := p.spec(p.target)
	if p.target == packing.Initramfs {
		debug.SetGCPercent(30) // segments and encoders are large, and few
	}
	return packing.Settings{Kind: p.target, Codec: spec, BlockSize: p.blockSize, Jobs: p.jobs}, err
}
