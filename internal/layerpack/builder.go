package layerpack

import (
	"context"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
)

// Options tell how a pack is made.
type Options struct {
	Codec     codec.Spec
	BlockSize int // uncompressed bytes of a block (codec.CheckBlockSize)
	Jobs      int // blocks compressed at once; 0 is one a core. It does not change the pack.
}

// Stats tell what a pack holds.
type Stats struct {
	Entries    int64 // entries of all types
	Files      int64 // of these, regular files
	Contents   int64 // different contents
	Unpacked   int64 // bytes of all regular files
	Duplicates int64 // of these, bytes of files whose content was there already
	Data       int64 // bytes of compressed blocks
	Size       int64 // bytes of the pack
}

// Builder writes a pack.
type Builder struct{}

// NewBuilder begins a pack in f, which is empty and seekable. Close must be called whatever happens.
func NewBuilder(f *os.File, o Options) (*Builder, error) { panic("not written yet") }

// Add adds an entry. data holds the size bytes of a regular file and is nil for other types; e.Content is ignored.
func (b *Builder) Add(e fstree.Entry, data io.Reader, size int64) error { panic("not written yet") }

// Close ends the pack. Without it, or when it or an Add before it failed, the file is not a pack.
func (b *Builder) Close() (Stats, error) { panic("not written yet") }

// PackTar packs the uncompressed tar archive into f, which is empty and seekable.
func PackTar(ctx context.Context, tar io.Reader, f *os.File, o Options) (Stats, error) {
	panic("not written yet")
}
