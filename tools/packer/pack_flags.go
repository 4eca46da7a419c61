package main

import (
	"flag"
	"os"
	"runtime/debug"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// packFlags are the flags of the commands that make layer packs.
type packFlags struct {
	compressionFlags
	target string
}

func (p *packFlags) register(fs *flag.FlagSet) {
	p.compressionFlags.register(fs)
	fs.StringVar(&p.target, "for", "squashfs", "`kind` of image that the pack is for: squashfs or initramfs")
}

// packMaker makes layer packs with the settings of the command line.
type packMaker struct {
	packFlags
	codec codec.Spec
}

// maker checks the flags.
func (p *packFlags) maker() (packMaker, error) {
	spec, err := p.spec()
	if p.target == "initramfs" {
		spec, err = p.initramfsSpec()
	}
	if err == nil && p.target != "squashfs" && p.target != "initramfs" {
		err = cli.Usagef("--for %q: give squashfs or initramfs", p.target)
	}
	return packMaker{*p, spec}, err
}

// initramfsSpec is spec with the default levels of an initramfs.
func (c *compressionFlags) initramfsSpec() (codec.Spec, error) {
	own := *c
	if own.level == 0 {
		own.level = cpiopack.DefaultLevel(own.name)
	}
	return own.spec()
}

// write makes a pack in f of what add adds, and returns the number of entries.
func (m packMaker) write(f *os.File, add func(layerpack.Adder) error) (entries int64, err error) {
	if m.target == "initramfs" {
		debug.SetGCPercent(30) // segments and encoders are large, and few
		b, err := cpiopack.NewBuilder(f, cpiopack.Options{Codec: m.codec, Jobs: m.jobs})
		if err != nil {
			return 0, err
		}
		err = add(b)
		if closeErr := b.Close(); err == nil {
			err = closeErr
		}
		return b.Entries(), err
	}
	b, err := layerpack.NewBuilder(f, layerpack.Options{Codec: m.codec, BlockSize: m.blockSize, Jobs: m.jobs})
	if err != nil {
		return 0, err
	}
	err = add(b)
	stats, closeErr := b.Close()
	if err == nil {
		err = closeErr
	}
	return stats.Entries, err
}
