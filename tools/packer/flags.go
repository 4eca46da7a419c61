package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/packing"
)

// compressionFlags are the flags that every command that compresses has.
type compressionFlags struct {
	name             string
	level, blockSize int
	jobs             int
}

func (c *compressionFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&c.name, "compression", "", "`compressor`: zstd, gzip, xz, lz4 or none; "+
		"the default is zstd for squashfs, gzip for an initramfs, lz4 for erofs, and none for ext4, xfs and btrfs")
	fs.IntVar(&c.level, "level", 0, "`level` of the compressor; 0 is its default: zstd 15, gzip 9, in an initramfs 6")
	fs.IntVar(&c.blockSize, "block-size", codec.DefaultBlockSize,
		"`bytes` of a squashfs block, a power of two from 4096 to 1048576")
	fs.IntVar(&c.jobs, "jobs", 0, "blocks compressed at once; 0 is one a core; does not change the output")
}

// maxUnpackedFlag is the flag of the commands that read layers.
func maxUnpackedFlag(fs *flag.FlagSet) *int64 {
	return fs.Int64("max-unpacked-size", 0,
		"`bytes` that a layer may unpack to; 0 allows 1 GiB or 200 times its size, and 64 GiB of holes")
}

// spec checks the flags for a kind of image.
func (c *compressionFlags) spec(kind string) (codec.Spec, error) {
	spec, err := packing.Codec(kind, c.name, c.level)
	if err == nil {
		err = codec.CheckBlockSize(c.blockSize)
	}
	if err == nil && c.jobs < 0 {
		err = fmt.Errorf("%d jobs", c.jobs)
	}
	if err != nil {
		return spec, cli.Usagef("%v", err)
	}
	return spec, nil
}

// parseFlags parses args. No arguments may follow the flags, and the required ones must not be empty. With -help it
// prints the flags to stderr and returns flag.ErrHelp, which main takes for success.
func parseFlags(fs *flag.FlagSet, args []string, stderr io.Writer, required ...string) error {
	fs.SetOutput(io.Discard) // or package flag prints the error and all flags, besides what main prints
	err := fs.Parse(args)
	fs.SetOutput(stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.Usage()
		return err
	case err != nil:
		return cli.Usagef("%v", err)
	case fs.NArg() > 0:
		return cli.Usagef("unexpected argument %q", fs.Arg(0))
	}
	for _, name := range required {
		if fs.Lookup(name).Value.String() == "" {
			return cli.Usagef("--%s is required", name)
		}
	}
	return nil
}
