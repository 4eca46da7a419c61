package machine

import (
	"context"
	"fmt"
	"os"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/fill"
)

// Filler is what fills a file system with files.
type Filler struct {
	Mkfs    string // program
	Machine fill.Machine
}

// PrepareFill makes ready what fills a file system of a kind, fill.XFS or fill.Btrfs: its mkfs, that of the environment or of
// this machine, and a machine with the payload's program for that.
func PrepareFill(ctx context.Context, o Options, kind string) (f Filler, err error) {
	if f.Mkfs, err = fill.FindMkfs(kind, os.Getenv(fill.Variable(kind))); err != nil {
		return f, err
	}
	made, err := o.prepare(ctx, fmt.Sprintf("%s is filled in a virtual machine", kind), "fill-"+o.Arch, bootfs.SelectFillModules(kind))
	f.Machine = fill.Machine{Driver: made.driver, Arch: o.Arch, Kernel: made.kernel, Initramfs: made.initramfs}
	return f, err
}
