// Package packing makes layer packs for all kinds of images, with the settings that an image has.
package packing

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// Kinds of images that packs are for: an initramfs, or the file system of a rootfs.
const (
	Initramfs = "initramfs"
	Squashfs  = "squashfs"
	Erofs     = "erofs"
	Ext4      = "ext4"
	XFS       = "xfs"
	Btrfs     = "btrfs"
)

// Filesystems are those of a rootfs, the default first.
var Filesystems = []string{Squashfs, Erofs, Ext4, XFS, Btrfs}

// Kinds are all of them.
var Kinds = append([]string{Initramfs}, Filesystems...)

// Writable tells whether a guest writes to images of the kind themselves. They hold files as they are, and so do their
// packs.
func Writable(kind string) bool { return kind == Ext4 || kind == XFS || kind == Btrfs }

// PackKind is the kind of packs that an image is linked of. The writable file systems share theirs: they are squashfs's
// without compression.
func PackKind(kind string) string {
	if Writable(kind) {
		return Squashfs
	}
	return kind
}

// defaultCodec is the compressor where none is asked for.
var defaultCodec = map[string]string{
	Initramfs: "gzip", Squashfs: "zstd", Erofs: "lz4", Ext4: "none", XFS: "none", Btrfs: "none",
}

// Settings say how packs are made. Packs of one image have the same.
type Settings struct {
	Kind      string // one of Kinds
	Codec     codec.Spec
	BlockSize int // bytes of a squashfs data block
	Jobs      int // compressed at once; 0 is one a core. It does not change the pack.
}

// Codec is the compressor of a kind of image; no name and level 0 are the kind's default.
func Codec(kind, name string, level int) (codec.Spec, error) {
	name = cmp.Or(name, defaultCodec[kind])
	if Writable(kind) && (name != "none" || level != 0) {
		return codec.Spec{}, fmt.Errorf("%s holds files as they are: leave compression and its level out", kind)
	}
	if kind == Initramfs && level == 0 {
		level = cpiopack.DefaultLevel(name)
	}
	spec, err := codec.ParseSpec(name, level)
	if err == nil && kind == Erofs {
		err = erofspack.CheckCodec(spec)
	}
	return spec, err
}

// Write makes a pack in f of what add adds, and returns the number of entries.
func (s Settings) Write(f *os.File, add func(layerpack.Adder) error) (entries int64, err error) {
	switch s.Kind {
	case Initramfs:
		b, err := cpiopack.NewBuilder(f, cpiopack.Options{Codec: s.Codec, Jobs: s.Jobs})
		if err != nil {
			return 0, err
		}
		return fill(b, add)
	case Erofs:
		b, err := erofspack.NewBuilder(f, erofspack.Options{Codec: s.Codec, Jobs: s.Jobs})
		if err != nil {
			return 0, err
		}
		return fill(b, add)
	}
	b, err := layerpack.NewBuilder(f, layerpack.Options{Codec: s.Codec, BlockSize: s.BlockSize, Jobs: s.Jobs})
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

// builder is what packs of several kinds are made with.
type builder interface {
	layerpack.Adder
	Entries() int64
	Close() error
}

// fill adds all entries to a pack and ends it.
func fill(b builder, add func(layerpack.Adder) error) (entries int64, err error) {
	err = add(b)
	if closeErr := b.Close(); err == nil {
		err = closeErr
	}
	return b.Entries(), err
}

// Check fails unless the file is a pack of the kind, whose index is whole.
func (s Settings) Check(file string) error {
	var p io.Closer
	var err error
	switch s.Kind {
	case Initramfs:
		p, err = cpiopack.Open(file)
	case Erofs:
		p, err = erofspack.Open(file)
	default:
		p, err = layerpack.Open(file)
	}
	if err != nil {
		return err
	}
	return p.Close()
}

// AddLayer adds the entries of a layer of size bytes. What open gives has to end with an error when the bytes are not
// those of the digest. maxUnpacked is how many bytes it may unpack to; 0 is layerpack.UnpackLimit of its size.
func AddLayer(
	ctx context.Context, to layerpack.Adder, open func() (io.ReadCloser, error), digest string, size, maxUnpacked int64,
) error {
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	if err = layerpack.AddLayer(ctx, to, in, size, maxUnpacked); err != nil {
		err = fmt.Errorf("layer %s: %w", digest, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Only the end of the layer tells whether its digest is right; a wrong one explains any other error.
	if _, wrong := io.Copy(io.Discard, in); wrong != nil {
		err = wrong
	}
	return err
}
