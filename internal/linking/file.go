package linking

import (
	"context"
	"io"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/verity"
)

// FileOptions say how the file with the image of a root file system is made.
type FileOptions struct {
	RootfsOptions
	Preallocate bool // free space of a writable file system takes space in the file, rather than be holes
	Verity      bool // with a hash tree of dm-verity behind the file system
}

// File is such a file. Its size is with the hash tree.
type File struct {
	RootfsStats
	Digest string         // sha256:HEX, of the file
	Verity *verity.Params // nil without a hash tree
}

// RootfsFile makes the file at out with the image of Rootfs, and the file at digestOut, unless that is "", with its
// digest. Both appear or none.
func RootfsFile(ctx context.Context, out, digestOut string, packs []string, o FileOptions) (made File, err error) {
	link := func(w io.Writer) (err error) {
		made.RootfsStats, err = Rootfs(ctx, w, packs, o.RootfsOptions)
		return err
	}
	switch {
	case packing.Writable(o.Filesystem) && !o.Preallocate:
		made.Digest, err = cli.WriteSparseWithDigest(out, digestOut, link)
	case o.Verity:
		made.Digest, err = cli.WriteFileWithDigest(out, digestOut, func(f *cli.Output) error {
			if err := link(f); err != nil {
				return err
			}
			if made.Verity, err = appendVerity(f, o.Jobs); err != nil {
				return err
			}
			size, _, err := f.Written()
			made.Size = uint64(size)
			return err
		})
	default:
		made.Digest, err = cli.WriteWithDigest(out, digestOut, link)
	}
	return made, err
}

// appendVerity puts the hash tree behind a file system. Its salt is the file system's digest.
func appendVerity(f *cli.Output, jobs int) (*verity.Params, error) {
	size, sum, err := f.Written()
	if err != nil {
		return nil, err
	}
	p, err := verity.Append(f, size, sum, jobs)
	return &p, err
}
